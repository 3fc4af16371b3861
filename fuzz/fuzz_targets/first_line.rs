//! Checks first lines: each is a valid name with valid options, or is refused in one safe line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: Text| properties::first_line(&input.0));
