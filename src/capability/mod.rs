//! The `capability` room.
