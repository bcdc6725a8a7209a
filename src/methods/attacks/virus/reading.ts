import { dim, ops, type Tensor, type TensorType } from "../../../autodiff/index.ts";
import { BoosterError } from "../../../errors.ts";
import { classifiable } from "../../../models/classes.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, type Weights, weightsOf } from "../../../models/index.ts";
import { type Mapped, type Nested, typesOf } from "../../../runtime/index.ts";
import { tensor } from "../../../tensor/tensor.ts";
import type { KnownGuard, Victim } from "../attack.ts";
import type { ToyGuard } from "./toy-guard.ts";

/** Tokens among others: where -1 stands, `ids` has the token, elsewhere the inserted one of that number. */
export interface Shown {
  readonly ids: readonly number[];
  readonly places: readonly number[];
}

/** A guard as a program computes it on a row in which x, the one-hot matrix of the inserted tokens, stands. */
export interface Reading {
  /** What its part of a program is given. */
  readonly types: Nested;
  /** Tokens around those that are inserted, as it will be shown them. @throws {BoosterError} `OPTIONS_CONFLICT` */
  shown(host: ArrayLike<number>, tokens: readonly number[]): Shown;
  feeds(shown: Shown, tokens: readonly number[]): Nested;
  /** j(x) = -log P("safe"), a scalar. */
  loss(given: Nested, x: Tensor): Tensor;
}

const int32 = (...shape: TensorType["shape"]): TensorType => ({ dtype: "int32", shape });

/** The index that puts inserted tokens at their places among those of the batch of that name, each at as many as it has. */
export const insertionTypes = (name: string) => ({
  to: int32(dim(`${name}.tokens`)),
  back: int32(dim("inserted")),
  readers: int32(dim("inserted"), dim(`${name}.standings`)),
});

export function insertionOf({ places }: Shown, count: number) {
  const readers = Array.from({ length: count }, (_, token) =>
    places.flatMap((at, place) => (at === token ? [place] : [])),
  );
  const most = Math.max(...readers.map(({ length }) => length));
  return {
    to: tensor("int32", [places.length], places),
    back: tensor(
      "int32",
      [count],
      readers.map((_, token) => places.length + token),
    ),
    readers: tensor(
      "int32",
      [count, most],
      readers.flatMap((own) => [...own, ...new Array<number>(most - own.length).fill(-1)]),
    ),
  };
}

/** A model's weights whose embedding puts rows of x E in their places, and looks up the other tokens. */
export function withInserted(
  weights: Weights,
  embedding: string,
  x: Tensor,
  index: Mapped<ReturnType<typeof insertionTypes>, Tensor>,
): Weights {
  const others = ops.move(ops.matmul(x, weights.tensor(embedding)), { ...index, padded: true, partial: false });
  const isOwn = ops.less(ops.reshape(index.to, [index.to.dim(0), 1]), 0);
  // In the place of what is looked up, since a family may scale that, or add where tokens stand.
  return { ...weights, embed: (ids) => ops.where(isOwn, weights.embed(ids), others) };
}

/** The toy guard, in closed form: it is shown the row and then the tokens. */
export function toyReading(guard: ToyGuard): Reading {
  const vocabSize = guard.weights.length;
  const float = (...shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
  const types = { weights: float(vocabSize, 1), known: float(), length: float() };
  return {
    types,
    shown: (host, tokens) => ({
      ids: [...Array.from(host), ...tokens],
      places: [...Array.from(host, () => -1), ...tokens.keys()],
    }),
    feeds({ ids, places }) {
      const own = ids.filter((_, place) => places[place] === -1);
      return {
        weights: tensor("float32", [vocabSize, 1], guard.weights),
        known: tensor("float32", [], [guard.sum(own) + guard.bias * ids.length]),
        length: tensor("float32", [], [ids.length]),
      };
    },
    loss(given, x) {
      const { weights, known, length } = given as Mapped<typeof types, Tensor>;
      const z = ops.div(ops.add(known, ops.sum(ops.matmul(x, weights))), length);
      // -log(1 - sigmoid(z)), without overflow
      return ops.add(ops.maximum(z, 0), ops.log(ops.add(ops.exp(ops.neg(ops.abs(z))), 1)));
    },
  };
}

/**
 * A classifier with the victim's tokens, which is shown what was inserted as a moderator reads it. Its head has `safe` first, or marks kinds of
 * harm, none of which is to hold.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT` where its tokens are others
 */
export function classifierReading({ classifier, encode }: KnownGuard, { base }: Victim): Reading {
  const { model, weights, tokenizer } = classifier.loaded;
  const ids = Array.from({ length: base.tokenizer.vocabSize }, (_, id) => id);
  const other = ids.find((id) => tokenizer.tokenOf(id) !== base.tokenizer.tokenOf(id));
  if (other !== undefined || tokenizer.vocabSize !== base.tokenizer.vocabSize) {
    throw conflict(
      "the guard has another vocabulary than the model",
      "the same tokens",
      `another token ${other ?? "more"}`,
    );
  }
  const types = { base: typesOf(weights), batch: batchTypes("guard", 1), index: insertionTypes("guard") };
  return {
    types,
    shown(_host, tokens) {
      const whole = encode(base.tokenizer.decode(tokens, { skipSpecial: true }));
      const written = tokens.filter((id) => !base.tokenizer.isSpecial(id));
      const shown: { ids: number[]; places: number[] } = { ids: [], places: [] };
      let found = 0;
      for (let at = 0; at < whole.length; ) {
        if (written.length > 0 && written.every((id, i) => whole[at + i] === id)) {
          shown.ids.push(...tokens);
          shown.places.push(...tokens.keys());
          at += written.length;
          found++;
        } else {
          shown.ids.push(whole[at++] as number);
          shown.places.push(-1);
        }
      }
      if (found > 0) return shown;
      throw conflict("the guard is not shown the inserted tokens", "a text with all of them", `${whole.length} tokens`);
    },
    feeds({ ids, places }, tokens) {
      const now = ids.map((id, place) =>
        (places[place] as number) < 0 ? id : (tokens[places[place] as number] as number),
      );
      const row = classifiable(now, 0, undefined);
      // What is said of the last token stands behind it.
      const index = insertionOf({ ids, places: [...places, -1] }, tokens.length);
      return { base: weights, batch: packBatch([row], { chunks: 1 }), index };
    },
    loss(given, x) {
      const { base: own, batch, index } = given as Mapped<typeof types, Tensor>;
      const within = withInserted(weightsOf(model, own), model.embedding, x, index);
      return tokenLoss(model, within, batchOf(batch), { chunks: 1 });
    },
  };
}

const conflict = (message: string, expected: string, found: string) =>
  new BoosterError("OPTIONS_CONFLICT", message, {
    expected,
    found,
    where: "moderation",
    hint: "Virus takes gradients through model and guard: it needs a guard with the model's own tokenizer, such as one that booster moderator train made from it.",
  });
