//! What a service keeps and hands around: a group in a field, futures of a cancellation or an end.

mod open_group;
mod when;
