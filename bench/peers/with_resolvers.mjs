// PostGraphile 5.1 asks for Node 22; on Node 20 this is all that it misses (and without it, it fails without a word).
Promise.withResolvers ??= function withResolvers() {
  let resolve;
  let reject;
  const promise = new this((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};
