//! Checks safe text: nothing in it acts on a terminal, ends a line or piles up. Nothing is dropped, it grows at most
//! fourfold, and safe text stays unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: (u8, Text)| properties::text(&input.1.0, input.0.into()));
