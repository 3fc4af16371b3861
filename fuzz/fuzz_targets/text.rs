//! Holds the promise of safe text: nothing in it acts on a terminal, ends a line or piles up; nothing is dropped; it
//! grows at most fourfold; and what is safe stays as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: (u8, Text)| properties::text(&input.1.0, input.0.into()));
