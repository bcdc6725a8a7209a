import type { ServiceError } from "../domain/service-error.ts";

/** How many bytes may come to something, and what one is told who has more. */
export interface Room {
  /** What they come to: a project, an upload. */
  readonly of: string;
  readonly bytes: number;
  readonly beyond: ServiceError;
}

/** Bytes that are coming to this server and that no row names yet, so that several senders at once do not share the same room. */
export class Arrivals {
  private readonly coming = new Map<string, number>();

  /** What comes in one request; it counts until its end. */
  begin(rooms: readonly Room[]): Arrival {
    return new Arrival(this.coming, rooms);
  }
}

export class Arrival {
  private bytes = 0;

  constructor(
    private readonly coming: Map<string, number>,
    private readonly rooms: readonly Room[],
  ) {}

  /** The narrowest room that is left beside what others are sending. */
  get room(): Room {
    const left = this.rooms.map((room) => ({ ...room, bytes: Math.max(0, room.bytes - this.comingTo(room)) }));
    return left.reduce((least, room) => (room.bytes < least.bytes ? room : least));
  }

  /** @throws {ServiceError} what a room says to whoever has more */
  take(bytes: number): void {
    this.add(bytes);
    this.check();
  }

  /** Whether all that is coming has room: once more, where rows have changed meanwhile. What has none leaves it to others. Throws as `take`. */
  check(rooms = this.rooms): void {
    const full = rooms.find((room) => this.comingTo(room) > room.bytes);
    if (full === undefined) return;
    this.end();
    throw full.beyond;
  }

  /** Its bytes have a row that counts them, or are gone. */
  end(): void {
    this.add(-this.bytes);
  }

  private comingTo({ of }: Room): number {
    return this.coming.get(of) ?? 0;
  }

  private add(bytes: number): void {
    this.bytes += bytes;
    for (const room of this.rooms) {
      const now = this.comingTo(room) + bytes;
      if (now === 0) this.coming.delete(room.of);
      else this.coming.set(room.of, now);
    }
  }
}
