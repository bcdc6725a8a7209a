interface Entry {
  readonly send: () => Promise<void>;
  /** Of those that wait under one name only the newest is sent. */
  readonly name: string | undefined;
}

/** What is told to the server, one after the other in the order of telling, while work goes on. */
export class Queue {
  private waiting: Entry[] = [];
  private sending: Promise<void> | undefined;
  /** Why something could not be told; nothing behind it is. */
  failure: unknown;

  constructor(private readonly onFailure: (failure: unknown) => void) {}

  add(send: () => Promise<void>, name?: string): void {
    if (name !== undefined) this.waiting = this.waiting.filter((entry) => entry.name !== name);
    this.waiting.push({ send, name });
    this.sending ??= this.run();
  }

  /** Waits until all is said. Throws what the server refused. */
  async empty(): Promise<void> {
    while (this.sending !== undefined) await this.sending;
    if (this.failure !== undefined) throw this.failure;
  }

  private async run(): Promise<void> {
    for (
      let next = this.waiting.shift();
      next !== undefined && this.failure === undefined;
      next = this.waiting.shift()
    ) {
      try {
        await next.send();
      } catch (error) {
        this.failure = error;
        this.onFailure(error);
      }
    }
    this.sending = undefined;
  }
}
