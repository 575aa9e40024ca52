//! The `workflow` room.
