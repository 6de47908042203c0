#![deny(unused_must_use)]
use std::io;
use taskgroup::ErrorGroup;

fn handle(errors: ErrorGroup) {
    errors.on::<io::Error>(|_| println!("an I/O error"));
}
fn main() { let _ = handle; }
