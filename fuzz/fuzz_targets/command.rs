//! Checks commands: a line that begins with a single `/` is never said, and any other line is. A refusal is one safe
//! line that a program can parse.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: Text| properties::command(&input.0));
