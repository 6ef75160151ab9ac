/**
 * Remembers what was made for a key until the turn of the event loop ends. For what many ask for at once and nobody later: a
 * WeakMap's values outlive the next collection of the young, whether their keys do or not.
 */
export function rememberForTurn<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  let made = new Map<Key, Value>();
  return (key) => {
    const earlier = made.get(key);
    if (earlier !== undefined) {
      return earlier;
    }
    if (made.size === 0) {
      // A Map that is cleared refers to what it holds next: once the old one is promoted, so is all that follows.
      setImmediate(() => (made = new Map()));
    }
    const value = make(key);
    made.set(key, value);
    return value;
  };
}
