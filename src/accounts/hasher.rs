//! Hashes and verifies passwords, away from the threads of the room.
//!
//! Hashing with argon2id takes tens of milliseconds and 19 MiB on purpose. So only a few run at once, and the others
//! wait in a fair queue. A name without an account costs one run, like a wrong password, so the time does not reveal
//! who is registered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use blocking::unblock;
use zeroize::Zeroize;

use crate::accounts::Turn;
use crate::accounts::hash_queue::{Busy, HashQueue};
use crate::limits::{HASH_COST, HASH_COST_MOST, HASHES_AT_ONCE, HASHES_WAITING};
use crate::model::Secret;
use crate::model::limit_key::LimitKeys;

/// A handle to the hasher. Clones share its limits.
#[derive(Debug, Clone)]
pub struct Hasher {
    queue: Arc<HashQueue>,
    runs: Arc<AtomicU64>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(HASHES_AT_ONCE, HASHES_WAITING)
    }
}

impl Hasher {
    /// Runs this many hashes at once, with this many waiting per network.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        Self { queue: HashQueue::new(at_once, waiting), runs: Arc::default() }
    }

    /// Waits for a turn to hash. Holding one delays those after it.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn turn(&self, keys: &LimitKeys) -> Result<Turn, Busy> {
        self.queue.turn(keys).await
    }

    /// Hashes a new password from these networks, as a PHC string with a new salt.
    ///
    /// Dropping the future frees its slot: at once, or when the current run ends.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, secret: Secret, keys: &LimitKeys) -> Result<String, Busy> {
        let runs = Arc::clone(&self.runs);
        self.work(keys, move || {
            let recipe = Recipe::with_salt(try_generate_salt().map_err(|_| Busy)?);
            let output = recipe.run(secret, &runs)?;
            Ok(recipe.write(output))
        })
        .await
    }

    /// Verifies a password against a hash. Without a hash (unknown name) the result is false after the same work. It is
    /// also false for a hash that is invalid or exceeds [`HASH_COST_MOST`].
    ///
    /// Dropping the future frees its slot, as in [`Hasher::hash`].
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, secret: Secret, hash: Option<String>, keys: &LimitKeys) -> Result<bool, Busy> {
        let runs = Arc::clone(&self.runs);
        self.work(keys, move || {
            let (recipe, expected) = match hash.as_deref().and_then(Recipe::read) {
                Some((recipe, expected)) => (recipe, Some(expected)),
                None => (Recipe::with_salt(*b"nobody's account"), None),
            };
            // Compared in constant time.
            Ok(Some(recipe.run(secret, &runs)?) == expected)
        })
        .await
    }

    /// How often argon2 has run.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    async fn work<T: Send + 'static>(
        &self,
        keys: &LimitKeys,
        job: impl FnOnce() -> Result<T, Busy> + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = self.turn(keys).await?;
        unblock(move || {
            // A run keeps its turn even if nobody waits for it any more.
            let _held = turn;
            job()
        })
        .await
    }
}

/// How to hash a password.
struct Recipe {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
}

/// [`HASH_COST`] for argon2.
const COST: Params = match Params::new(HASH_COST.0, HASH_COST.1, HASH_COST.2, Some(Params::DEFAULT_OUTPUT_LEN)) {
    Ok(cost) => cost,
    Err(_) => panic!("argon2 allows this cost"),
};

/// The minimum number of reserved blocks of 1 KiB. Unused ones take no memory.
///
/// glibc returns allocations above 32 MiB to the system at once (mallopt(3), M_MMAP_THRESHOLD). Smaller ones stay in
/// the heap of each thread that has ever hashed a password: 19 MiB per thread.
const BLOCKS_GIVEN_BACK: usize = 33 * 1024;

impl Recipe {
    /// For new passwords.
    fn with_salt(salt: [u8; 16]) -> Self {
        let salt = Salt::new(&salt).expect("16 bytes are a salt");
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params: COST, salt }
    }

    /// The recipe of a PHC string, and its hash.
    fn read(phc: &str) -> Option<(Self, Output)> {
        let hash = PasswordHash::new(phc).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (memory, passes, lanes) = HASH_COST_MOST;
        let is_bounded = params.m_cost() <= memory && params.t_cost() <= passes && params.p_cost() <= lanes;
        is_bounded.then_some((Self { algorithm, version, params, salt: hash.salt? }, hash.hash?))
    }

    fn write(self, output: Output) -> String {
        let params = ParamsString::try_from(&self.params).expect("the parameters of new passwords can be written");
        let (algorithm, version) = (self.algorithm.ident(), Some(self.version.into()));
        PasswordHash { algorithm, version, params, salt: Some(self.salt), hash: Some(output) }.to_string()
    }

    /// Runs argon2 once. Wipes the password and everything derived from it.
    fn run(&self, secret: Secret, runs: &AtomicU64) -> Result<Output, Busy> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(self.params.block_count().max(BLOCKS_GIVEN_BACK)).map_err(|_| Busy)?;
        memory.resize(self.params.block_count(), Block::new());
        runs.fetch_add(1, Ordering::Relaxed);
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        let length = self.params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut output = vec![0; length];
        let password = secret.expose().as_bytes();
        let hashed = argon2.hash_password_into_with_memory(password, &self.salt, &mut output, memory.as_mut_slice());
        // For a vector, `Zeroizing` would also wipe the reserved memory.
        memory.iter_mut().zeroize();
        hashed
            .ok()
            .and_then(|()| Output::new(&output).ok())
            // argon2 allows the sizes of salt, output and memory, or they would not have been parsed.
            .ok_or(Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::{Duration, Instant};

    use async_std::task::block_on;
    use futures::FutureExt;
    use futures::task::noop_waker;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    fn somebody() -> LimitKeys {
        LimitKeys::of("192.0.2.1".parse().unwrap())
    }

    fn is_pending<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
        matches!(future.as_mut().poll(&mut Context::from_waker(&noop_waker())), Poll::Pending)
    }

    #[test]
    fn a_hash_is_argon2id_at_the_cost_that_owasp_names_and_no_two_are_the_same() {
        let hasher = Hasher::default();
        let hashes = [(); 2].map(|()| block_on(hasher.hash(secret("correct horse"), &somebody())).unwrap());
        for hash in &hashes {
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        }
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(block_on(hasher.verify(secret("correct horse"), Some(hashes[1].clone()), &somebody())), Ok(true));
    }

    #[test]
    fn a_wrong_password_and_an_unknown_name_and_a_broken_hash_cost_one_run_each() {
        let hasher = Hasher::default();
        let hash = block_on(hasher.hash(secret("correct horse"), &somebody())).unwrap();
        assert_eq!(hasher.runs(), 1);
        let cases = [
            (Some(hash), "correct horse", true),
            (None, "correct horse", false),
            (Some("$argon2id$v=19$m=19456,t=2,p=1$".to_owned()), "correct horse", false),
            (Some(String::new()), "correct horse", false),
        ];
        for (before, (hash, password, is_right)) in (1..).zip(cases.clone()) {
            assert_eq!(block_on(hasher.verify(secret(password), hash.clone(), &somebody())), Ok(is_right), "{hash:?}");
            assert_eq!(hasher.runs(), before + 1, "{hash:?}");
        }
        assert_eq!(block_on(hasher.verify(secret("wrong horse"), cases[0].0.clone(), &somebody())), Ok(false));
        assert_eq!(hasher.runs(), 6);
    }

    #[test]
    fn a_hash_that_somebody_else_made_is_honoured() {
        // From the test vectors of the reference implementation (phc-winner-argon2, test.c).
        let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hasher = Hasher::default();
        assert_eq!(block_on(hasher.verify(secret("password"), Some(hash.to_owned()), &somebody())), Ok(true));
        assert_eq!(block_on(hasher.verify(secret("Password"), Some(hash.to_owned()), &somebody())), Ok(false));
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_nobodys() {
        let tail = "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(Recipe::read(&format!("$argon2id$v=19$m=65536,t=10,p=4${tail}")).is_some());
        for cost in
            ["m=65537,t=1,p=1", "m=4194304,t=1,p=1", "m=256,t=11,p=1", "m=256,t=4294967295,p=1", "m=256,t=1,p=5"]
        {
            assert!(Recipe::read(&format!("$argon2id$v=19${cost}${tail}")).is_none(), "{cost}");
        }
    }

    #[test]
    fn so_many_run_and_wait_and_the_next_one_is_told_to_come_again() {
        let hasher = Hasher::default();
        let hash = || Box::pin(async { hasher.hash(secret("correct horse"), &somebody()).await });
        // Running ones, without the runs themselves.
        let running: Vec<_> = (0..HASHES_AT_ONCE).map(|_| block_on(hasher.turn(&somebody())).unwrap()).collect();
        let mut waiting: Vec<_> = (0..HASHES_WAITING).map(|_| hash()).collect();
        assert!(waiting.iter_mut().all(is_pending));
        assert_eq!(hash().now_or_never(), Some(Err(Busy)));
        // Whoever stops waiting makes room at once.
        waiting.pop();
        let mut late = hash();
        assert!(is_pending(&mut late));
        assert_eq!(hash().now_or_never(), Some(Err(Busy)));
        assert_eq!(hasher.runs(), 0);
        drop(waiting);
        drop(running);
        assert!(block_on(late).is_ok());
        assert_eq!(hasher.runs(), 1);
    }

    #[test]
    fn a_run_that_nobody_waits_for_has_its_turn_until_it_is_over() {
        let hasher = Hasher::default();
        let (begin, begun) = async_channel::bounded::<()>(1);
        let (end, ended) = async_channel::bounded::<()>(1);
        let keys = somebody();
        let mut run = Box::pin(hasher.work(&keys, move || {
            begin.send_blocking(()).unwrap();
            // An error means that the test is over.
            let _ = ended.recv_blocking();
            Ok(())
        }));
        assert!(is_pending(&mut run));
        block_on(begun.recv()).unwrap();
        drop(run);
        assert_eq!(hasher.queue.free(), HASHES_AT_ONCE - 1);
        drop(end);
        let all = (0..HASHES_AT_ONCE).map(|_| hasher.turn(&keys));
        assert!(block_on(futures::future::join_all(all)).iter().all(Result::is_ok));
    }

    /// Prints how long the owner had to wait.
    #[test]
    fn an_owner_gets_in_while_ninety_networks_of_one_48_guess() {
        let hasher = Hasher::default();
        let hash = block_on(hasher.hash(secret("correct horse"), &somebody())).unwrap();
        let guesses = (0..90).map(|number| {
            let keys = LimitKeys::of(format!("2001:db8:0:{number:x}00::1").parse().unwrap());
            let (hasher, hash) = (hasher.clone(), hash.clone());
            async move {
                loop {
                    let guessed = hasher.verify(secret("wrong horse"), Some(hash.clone()), &keys).await;
                    assert_eq!(guessed, Ok(false));
                }
            }
        });
        let owner = async {
            let mut slowest = Duration::ZERO;
            for _ in 0..20 {
                let begun = Instant::now();
                assert_eq!(hasher.verify(secret("correct horse"), Some(hash.clone()), &somebody()).await, Ok(true));
                slowest = slowest.max(begun.elapsed());
            }
            println!("the owner got in within {slowest:?}");
        };
        let guesses = futures::future::join_all(guesses).map(drop);
        futures::pin_mut!(guesses, owner);
        block_on(futures::future::select(guesses, owner));
    }

    #[test]
    fn many_at_once_are_all_answered() {
        let hasher = Hasher::default();
        let keys = somebody();
        let runs = (0..10).map(|_| hasher.verify(secret("correct horse"), None, &keys));
        assert_eq!(block_on(futures::future::join_all(runs)), [Ok(false); 10]);
        assert_eq!(hasher.runs(), 10);
    }
}
