//! Holds the promise of commands: a line that begins with one `/` is never said, any other line is said, and what is
//! refused is answered with one safe line that a program can read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: Text| properties::command(&input.0));
