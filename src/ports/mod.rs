//! What the engine asks of the outside world. Implemented by `store`, called by `hub` and `service`.

pub mod store;
