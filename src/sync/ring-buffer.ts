/**
 * A queue of values in an array that is used as a ring. It holds no memory for what is not there: it grows as
 * it fills and shrinks as it empties, each step for as many values as it has room, so that pushing and taking
 * stay O(1) on average.
 */

/** Places of an empty ring; a power of two, as every size is. */
const PLACES_MIN = 8;

export class RingBuffer<T> {
  private places: (T | undefined)[] = new Array<T | undefined>(PLACES_MIN).fill(undefined);
  private first = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  /** Places that are allocated. */
  get room(): number {
    return this.places.length;
  }

  push(value: T): void {
    if (this.count === this.places.length) this.resize(this.count * 2);
    this.places[(this.first + this.count++) & (this.places.length - 1)] = value;
  }

  /** Takes the oldest. There must be one: a value may be undefined and so cannot say that there is none. */
  shift(): T {
    const { places, first } = this;
    const value = places[first] as T;
    places[first] = undefined;
    this.first = (first + 1) & (places.length - 1);
    this.count--;
    if (this.count < places.length >> 2 && places.length > PLACES_MIN) this.resize(places.length >> 1);
    return value;
  }

  private resize(size: number): void {
    const { places, first, count } = this;
    const next = new Array<T | undefined>(size).fill(undefined);
    for (let i = 0; i < count; i++) next[i] = places[(first + i) & (places.length - 1)];
    this.places = next;
    this.first = 0;
  }
}
