"""Is a verdict of `lienthong release` true? Generated contracts, documents of their own, real classes."""
