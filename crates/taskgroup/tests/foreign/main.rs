//! Foreign code may do anything but end us (S39): each place where the engine calls code of others,
//! times each deed of that code, times the surroundings.
//!
//! [`place::Place`] is the one list of places. Each is a test of its own; `matrix` says how many
//! combinations there are.

#[path = "../common/mod.rs"]
mod common;

mod deed;
mod nested;
mod place;
mod recorder;
mod run;
mod subscriber;
