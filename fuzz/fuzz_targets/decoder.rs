//! Holds the promise of telnet and lines: a split never changes the lines, the answers or the line ends that a peer
//! gets; no line is longer than the limit or holds a line end; and no peer gets more answers than there may be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Bytes, properties};

fuzz_target!(|input: Bytes<'_>| properties::decoder(&input.bytes(), &input.cuts()));
