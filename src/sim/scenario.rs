//! What a simulated AWS starts from.
