"""Is a verdict of `lienthong release` true? Generated shapes, documents by hand-written generators, real classes."""
