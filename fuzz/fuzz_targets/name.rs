//! Checks names: a name cannot forge a line, hide, or act on a terminal. Its key is a name with the same key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: (Text, Text)| properties::name(&input.0.0, &input.1.0));
