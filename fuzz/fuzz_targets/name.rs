//! Holds the promise of names: whoever has one cannot forge a line, hide or act on a terminal with it, and it is known
//! by a key that is a name with the same key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Text, properties};

fuzz_target!(|input: (Text, Text)| properties::name(&input.0.0, &input.1.0));
