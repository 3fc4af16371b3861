//! The cost of checking a password: `cargo bench --bench password`. An unknown name must cost the same as a wrong
//! password, or the time would tell which names are registered.
#![allow(missing_docs)]

use async_std::task::block_on;
use divan::Bencher;
use linechat::accounts::Hasher;
use linechat::model::Secret;
use linechat::model::limit_key::LimitKeys;

fn main() {
    divan::main();
}

fn secret(text: &str) -> Secret {
    Secret::parse(text).expect("it is text")
}

fn networks() -> LimitKeys {
    LimitKeys::of("192.0.2.1".parse().expect("it is an address"))
}

/// Checks a wrong password, or a password for an unknown name.
#[divan::bench(args = ["right", "wrong", "unknown"], sample_count = 50)]
fn verify(bencher: Bencher<'_, '_>, case: &str) {
    let hasher = Hasher::default();
    let hash = block_on(hasher.hash(secret("correct horse"), &networks())).expect("nobody else is there");
    let hash = (case != "unknown").then_some(hash);
    let password = secret(if case == "right" { "correct horse" } else { "wrong horse" });
    bencher.bench_local(|| block_on(hasher.verify(password.clone(), hash.clone(), &networks())));
}

#[divan::bench(sample_count = 50)]
fn hash(bencher: Bencher<'_, '_>) {
    let hasher = Hasher::default();
    bencher.bench_local(|| block_on(hasher.hash(secret("correct horse"), &networks())));
}
