//! The keys that limits are counted by, so that nobody gets more by using many addresses.
//!
//! A customer of an IPv6 provider has a /64, a /56 or a /48, and nobody can tell which. So each of the three is
//! counted, and the wider ones have higher limits. All users of this machine share its addresses, so there the limits
//! count each user, and each name that a user gives passwords for.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use crate::limits::{PER_48, PER_56};
use crate::model::Name;
use crate::model::address::Network;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitKey {
    Network(Network),
    /// A wider IPv6 network: its first 64 bits, and how many of them count.
    Wide([u8; 8], u8),
    /// One name that a user of this machine gives passwords for. The number is a hash of the name with a random key, so
    /// that nobody can find a second name with the same hash.
    Name(Network, u64),
}

/// All keys that a connection counts for, from the widest to the narrowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitKeys(Vec<LimitShare>);

/// A key and the size of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitShare {
    pub key: LimitKey,
    /// How many times the limits of a single network apply. `None` means no limit, but only one turn at a time.
    pub factor: Option<u32>,
}

impl LimitKeys {
    pub fn of(source: Network) -> Self {
        let mut shares = Vec::new();
        if let Network::V6(octets) = source {
            shares.push(LimitShare { key: wide(octets, 48), factor: Some(PER_48) });
            shares.push(LimitShare { key: wide(octets, 56), factor: Some(PER_56) });
        }
        shares.push(LimitShare { key: LimitKey::Network(source), factor: Some(1) });
        Self(shares)
    }

    /// The keys for a password for `name`. On this machine, guesses for one name hold up neither other users nor other
    /// names.
    pub fn with_name(source: Network, name: &Name) -> Self {
        match source {
            Network::Loopback | Network::User(_) => Self(vec![
                LimitShare { key: LimitKey::Network(source), factor: None },
                LimitShare { key: LimitKey::Name(source, HASHES.hash_one(name)), factor: Some(1) },
            ]),
            _ => Self::of(source),
        }
    }

    pub fn all(&self) -> &[LimitShare] {
        &self.0
    }

    /// The keys that have limits, with their factors.
    pub fn limited(&self) -> impl Iterator<Item = (LimitKey, u32)> {
        self.0.iter().filter_map(|share| Some((share.key, share.factor?)))
    }

    pub fn widest(&self) -> LimitKey {
        self.0[0].key
    }
}

static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

fn wide(octets: [u8; 8], bits: u8) -> LimitKey {
    let mask = u64::MAX << (64 - bits);
    LimitKey::Wide((u64::from_be_bytes(octets) & mask).to_be_bytes(), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(source: &str) -> Vec<(LimitKey, u32)> {
        let keys = LimitKeys::of(source.parse().unwrap());
        keys.limited().collect()
    }

    /// How many networks two addresses share, counted from the widest.
    fn shared(one: &str, other: &str) -> usize {
        keys(one).iter().zip(keys(other)).take_while(|(one, other)| *one == other).count()
    }

    #[test]
    fn an_ipv6_address_counts_for_its_64_and_its_56_and_its_48() {
        assert_eq!(keys("2001:db8:1:2::1").iter().map(|(_, factor)| *factor).collect::<Vec<_>>(), [16, 4, 1]);
        for (other, count) in [
            ("2001:db8:1:2::9", 3),
            ("2001:db8:1:3::1", 2),
            ("2001:db8:1:ff::1", 2),
            ("2001:db8:1:100::1", 1),
            ("2001:db8:1:ffff::1", 1),
            ("2001:db8:2:2::1", 0),
        ] {
            assert_eq!(shared("2001:db8:1:2::1", other), count, "{other}");
        }
    }

    #[test]
    fn any_other_place_counts_for_itself() {
        for source in ["192.0.2.1", "fe80::1%2", "127.0.0.1", "user:1000"] {
            assert_eq!(keys(source), [(LimitKey::Network(source.parse().unwrap()), 1)]);
        }
    }

    #[test]
    fn on_this_machine_only_the_name_is_limited_that_a_password_is_given_for() {
        let [bob, bob_too, eve] = ["Bob", "BOB", "Eve"].map(|name| Name::parse(name).unwrap());
        for source in [Network::Loopback, Network::User(1000)] {
            let of = |name| LimitKeys::with_name(source, name);
            assert_eq!(of(&bob).limited().count(), 1);
            assert_eq!(of(&bob), of(&bob_too));
            assert_ne!(of(&bob), of(&eve));
            assert_eq!(of(&bob).widest(), of(&eve).widest());
        }
        let elsewhere = "192.0.2.1".parse().unwrap();
        assert_eq!(LimitKeys::with_name(elsewhere, &bob), LimitKeys::of(elsewhere));
    }
}
