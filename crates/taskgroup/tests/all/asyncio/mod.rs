//! What CPython's own tests check of `TaskGroup` and `timeout`, and what we do there. The numbers
//! are those of the table in the guide (reference behaviours).

mod exit;
mod external;
mod late;
mod nested;
mod tasks;
mod timeouts;
