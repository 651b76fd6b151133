//! What `register` and `unregister` say.
