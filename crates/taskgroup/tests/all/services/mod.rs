//! What a service keeps and hands around: futures of a cancellation or an end.

mod when;
