use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn pace(profile: PacePreset, now: Instant) -> RateLimit {
    from(profile, "192.0.2.1", &Arc::default(), now)
}

fn from(profile: PacePreset, ip: &str, networks: &Arc<NetworkLimits>, now: Instant) -> RateLimit {
    RateLimit::new(profile, PeerAddr::Net((ip.parse::<std::net::IpAddr>().unwrap(), 7).into()), networks, 0, now)
}

/// Takes as many of the waiting lines as the limits allow now.
fn take_lines(pace: &mut RateLimit, waiting: usize, now: Instant) -> usize {
    (0..waiting).take_while(|_| pace.take_line(now)).count()
}

#[test]
fn the_room_waits_without_limit_only_if_pace_is_off() {
    assert_eq!(
        [PacePreset::Open, PacePreset::Public, PacePreset::Off].map(PacePreset::waits_for_readers),
        [false, false, true]
    );
}

#[test]
fn a_burst_passes_and_then_the_rate_holds() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Open, start);
    assert_eq!(take_lines(&mut pace, 1000, start), 200);
    assert_eq!(pace.pause(800, start), Some(10 * MS));
    assert_eq!(take_lines(&mut pace, 800, start + 10 * MS), 1);
    let passed: usize = (1..=1000).map(|at| take_lines(&mut pace, 1000, start + 10 * MS + at * MS)).sum();
    assert!((99..=101).contains(&passed), "{passed} in a second");
}

#[test]
fn bytes_may_be_overdrawn_and_are_paid_back_before_another_line_passes() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Open, start);
    pace.take_bytes(256 * 1024, start);
    assert_eq!(pace.pause(0, start), None);
    pace.take_bytes(128 * 1024, start);
    assert_eq!(pace.pause(0, start), Some(500 * MS));
    assert!(!pace.take_line(start + 499 * MS));
    assert_eq!(pace.pause(0, start + 500 * MS), None);
    assert!(pace.take_line(start + 500 * MS));
}

#[test]
fn public_allows_fewer_bytes_than_open() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Public, start);
    pace.take_bytes(64 * 1024, start);
    assert_eq!(pace.pause(0, start), None);
    pace.take_bytes(8 * 1024, start);
    assert_eq!(pace.pause(0, start), Some(1000 * MS));
}

#[test]
fn a_person_who_types_is_never_limited() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Public, start);
    for second in 0..100 {
        let now = start + Duration::from_secs(second);
        pace.take_bytes(80, now);
        assert!(pace.take_line(now));
        assert_eq!(pace.pause(0, now), None);
    }
}

#[test]
fn a_peer_is_told_once_per_episode() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Public, start);
    take_lines(&mut pace, 11, start);
    assert!(pace.is_news(1, start));
    let later = start + Duration::from_secs(2);
    assert!(pace.take_line(later) && !pace.is_news(1, later));
    let later = start + Duration::from_secs(60);
    assert!(pace.take_line(later) && pace.is_news(1, later));
}

#[test]
fn connections_of_one_network_share_a_limit() {
    let (start, networks) = (Instant::now(), Arc::default());
    for (ip, factor) in [("192.0.2.1", PACE_OF_A_NETWORK), ("127.0.0.1", PACE_OF_THIS_MACHINE)] {
        let mut peers: Vec<_> = (0..64).map(|_| from(PacePreset::Open, ip, &networks, start)).collect();
        let mut taken = |now| peers.iter_mut().map(|pace| take_lines(pace, 1000, now)).sum::<usize>() as u64;
        // Each connection may take one line without waiting.
        let burst = taken(start);
        assert!((200 * factor..200 * factor + 64).contains(&burst), "{burst} lines of {ip} at once");
        let more: u64 = (1..=10_000).map(|at| taken(start + at * MS)).sum();
        assert!((1000 * factor - 64..=1000 * factor + 64).contains(&more), "{more} lines of {ip} in ten seconds");
    }
    let mut other = from(PacePreset::Open, "192.0.2.2", &networks, start);
    assert_eq!(take_lines(&mut other, 1000, start), 200);
}

#[test]
fn the_bytes_of_a_network_are_limited_too() {
    let (start, networks) = (Instant::now(), Arc::default());
    let mut peers: Vec<_> = (0..64).map(|_| from(PacePreset::Open, "192.0.2.1", &networks, start)).collect();
    let mut lines = 0;
    for at in 0..10_000 {
        for pace in &mut peers {
            if pace.take_line(start + at * MS) {
                pace.take_bytes(16 * 1024, start + at * MS);
                lines += 1;
            }
        }
    }
    // A burst, ten seconds, and the overdraft of each connection.
    let (least, most) = (11 * 64, 11 * 64 + 64);
    assert!((least..=most).contains(&lines), "{lines} lines of 16 KiB");
}

/// The other peers of its network send all the time.
#[test]
fn a_quiet_peer_of_a_busy_network_does_not_wait_long() {
    let (start, networks) = (Instant::now(), Arc::default());
    let mut peers: Vec<_> = (0..63).map(|_| from(PacePreset::Open, "192.0.2.1", &networks, start)).collect();
    let mut quiet = from(PacePreset::Open, "192.0.2.1", &networks, start);
    for at in 0..10_000 {
        let now = start + at * MS;
        peers.iter_mut().for_each(|pace| _ = take_lines(pace, 1000, now));
        if at % 500 == 0 {
            assert!(quiet.take_line(now), "after {at} ms");
            assert!(!quiet.is_news(0, now));
        }
    }
}

#[test]
fn a_new_connection_of_a_busy_network_has_no_line_free() {
    let (start, networks) = (Instant::now(), Arc::default());
    let mut busy = from(PacePreset::Public, "192.0.2.1", &networks, start);
    busy.take_bytes(64 * 1024 * PACE_OF_A_NETWORK as usize + 1000, start);
    assert!(!from(PacePreset::Public, "192.0.2.1", &networks, start).take_line(start));
    assert!(from(PacePreset::Public, "192.0.2.2", &networks, start).take_line(start));
}

#[test]
fn the_number_of_networks_kept_is_bounded() {
    let (start, networks) = (Instant::now(), NetworkLimits::default());
    let rates = PacePreset::Open.rates().unwrap();
    for number in 0..200_000_u32 {
        networks.take(Network::V4(number.to_be_bytes()), rates, 1, 0, start);
        assert!(networks.table().of.len() <= PACED_NETWORKS);
    }
    for number in 0..2000_u32 {
        let now = start + Duration::from_secs(60) + number * 100 * MS;
        networks.take(Network::V4(number.to_be_bytes()), rates, 1, 0, now);
    }
    let kept = networks.table().of.len();
    assert!(kept <= 64, "{kept} are kept");
}

#[test]
fn off_limits_nothing() {
    let start = Instant::now();
    let mut pace = pace(PacePreset::Off, start);
    pace.take_bytes(usize::MAX, start);
    assert_eq!((take_lines(&mut pace, 1_000_000, start), pace.pause(0, start)), (1_000_000, None));
    assert!(pace.networks.table().of.is_empty());
}

proptest! {
    /// After each pause, the peer may send another line.
    #[test]
    fn a_pause_is_long_enough(acts in prop::collection::vec((0..100_000_usize, 0..3000_u32), 1..100)) {
        let mut now = Instant::now();
        let mut pace = pace(PacePreset::Public, now);
        for (bytes, wait) in acts {
            pace.take_bytes(bytes, now);
            now += wait * MS;
            now += pace.pause(1, now).unwrap();
            prop_assert!(pace.take_line(now));
        }
    }
}
