//! Two links that face each other, without an owner.

use std::sync::Arc;

use foldhash::HashSet;
use history::{Namespace, TaskQueue};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{Link, Names, Taken};
use crate::{
    limits::{EXCHANGE_BYTES_MAX, EXCHANGE_PARCELS_MAX, SESSION_LOST_AFTER},
    peers::{Batch, FromMember, Nobody, Number, Parcel, PeerClient, PeerRequest},
    store::namespaces::Ns,
    words::{Kind, Waiting},
};

fn listed() -> Link {
    let mut link = Link::new();
    link.list(Arc::from("elsewhere"));
    link
}

fn demand(waiting: u32) -> Parcel {
    demand_of("queue", waiting)
}

fn demand_of(task_queue: &str, waiting: u32) -> Parcel {
    Parcel::Demand {
        namespace: Namespace::known("default"),
        task_queue: TaskQueue::known(task_queue),
        kind: Kind::Activity,
        waiting,
    }
}

/// Sends what a link has, at this moment.
fn send(link: &mut Link, now: Instant) -> (Number, Batch) {
    let names = Names {
        from: Uuid::from_u128(1),
        address: "here",
        to: Uuid::from_u128(2),
    };
    let peers = PeerClient {
        peers: Arc::new(Nobody),
        secret: Uuid::nil(),
    };
    let (number, _, body) = link.send(names, &peers, now).expect("a batch");
    let request: FromMember = serde_json::from_str(&body).expect("a request");
    match request.request {
        PeerRequest::Exchange(batch) => (number, *batch),
        other => unreachable!("{other:?}"),
    }
}

/// Returns the counts in the demands that were taken, and whether the other side had given this one up.
fn taken(taken: Taken) -> (Vec<u32>, bool) {
    match taken {
        Taken::Parcels { parcels, anew } => {
            let counts = parcels.iter().map(|parcel| match parcel {
                Parcel::Demand { waiting, .. } => *waiting,
                other => unreachable!("{other:?}"),
            });
            (counts.collect(), anew)
        }
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn parcels_arrive_once_and_in_order_though_receipts_are_lost() {
    let (mut from, mut to, now) = (listed(), listed(), Instant::now());
    let many = u32::try_from(EXCHANGE_PARCELS_MAX).unwrap() + 3;
    (0..many).for_each(|n| from.push(&demand(n)));
    let mut arrived = Vec::new();
    while from.is_ready() {
        let (number, batch) = send(&mut from, now);
        arrived.extend(taken(to.take(batch)).0);
        // Nobody heard that it has arrived: the same comes again.
        let (again, batch) = send(&mut from, now);
        assert_eq!(again, number);
        assert!(matches!(to.take(batch), Taken::Again));
        assert!(from.is_under_way(number));
        assert!(!from.arrived());
    }
    assert_eq!(arrived, (0..many).collect::<Vec<_>>());
}

#[test]
fn a_parcel_that_is_too_large_for_a_batch_goes_in_parts() {
    let (mut from, mut to, now) = (listed(), listed(), Instant::now());
    let name = "é".repeat(EXCHANGE_BYTES_MAX);
    from.push(&demand_of(&name, 1));
    from.push(&demand(2));
    let (mut arrived, mut batches) = (Vec::new(), 0);
    while from.is_ready() {
        let (_, batch) = send(&mut from, now);
        arrived.extend(taken(to.take(batch)).0);
        from.arrived();
        batches += 1;
    }
    assert_eq!(arrived, [1, 2]);
    assert!(batches >= 3, "{batches}");
}

#[test]
fn what_was_sent_before_one_side_gave_the_other_up_is_void() {
    let (mut one, mut other, now) = (listed(), listed(), Instant::now());
    one.push(&demand(1));
    send(&mut one, now);
    assert!(!one.give_up(now));
    let later = now + SESSION_LOST_AFTER;
    assert!(one.give_up(later));
    assert!(!one.give_up(later + Duration::from_mins(1)), "only once");
    // Nothing is kept for one that may never come back.
    one.push(&demand(2));

    // What the other one says, it says to somebody who has forgotten it.
    other.push(&demand(3));
    let (_, batch) = send(&mut other, later);
    let Taken::Void { round, anew: false } = one.take(batch) else {
        unreachable!("it is of the round before");
    };
    other.begin_anew(Some(round));
    other.push(&demand(4));
    let (_, batch) = send(&mut other, later);
    assert_eq!(taken(one.take(batch)), (vec![4], false));

    let (_, batch) = send(&mut one, later);
    assert_eq!(taken(other.take(batch)), (vec![], false));
    assert!(one.arrived(), "it is to be told everything");
    one.push(&demand(5));
    let (_, batch) = send(&mut one, later);
    assert_eq!(taken(other.take(batch)), (vec![5], false));
}

#[test]
fn a_batch_of_a_new_round_says_that_what_was_before_is_void() {
    let (mut one, mut other, now) = (listed(), listed(), Instant::now());
    other.push(&demand(1));
    send(&mut other, now);
    send(&mut one, now);
    assert!(one.give_up(now + SESSION_LOST_AFTER));
    let (_, batch) = send(&mut one, now);
    assert_eq!(taken(other.take(batch)), (vec![], true));
    assert!(!other.is_sending(), "what it wanted to say is void");
}

#[test]
fn two_that_give_each_other_up_at_once_understand_each_other_again() {
    let (mut one, mut other, now) = (listed(), listed(), Instant::now());
    let later = now + SESSION_LOST_AFTER;
    for link in [&mut one, &mut other] {
        link.push(&demand(1));
        send(link, now);
        assert!(link.give_up(later));
    }
    let (_, batch) = send(&mut one, later);
    let Taken::Void { round, anew: true } = other.take(batch) else {
        unreachable!("they know each other's first rounds only");
    };
    one.begin_anew(Some(round));
    one.push(&demand(2));
    let (_, batch) = send(&mut one, later);
    assert_eq!(taken(other.take(batch)), (vec![2], false));
    one.arrived();
    one.push(&demand(3));
    let (_, batch) = send(&mut one, later);
    assert_eq!(taken(other.take(batch)), (vec![3], false));
    // The second one had given up, too, and may speak again.
    other.push(&demand(4));
    let (_, batch) = send(&mut other, later);
    assert_eq!(taken(one.take(batch)), (vec![4], false));
}

fn queue(task_queue: &str) -> Waiting {
    let namespace = Ns {
        id: 1,
        name: Namespace::known("default"),
    };
    ((namespace, TaskQueue::known(task_queue)), Kind::Activity)
}

/// Lets so many tasks wait, and returns what the other side is to be told of that.
fn told(link: &mut Link, waiting: u32) -> Vec<u32> {
    link.is_unsure(&HashSet::from_iter([queue("queue")]));
    let demands = link.demands(|_| waiting);
    demands.into_iter().map(|(_, waiting)| waiting).collect()
}

#[test]
fn what_waits_is_told_once_a_batch_however_often_it_changes() {
    let (mut link, now) = (listed(), Instant::now());
    assert_eq!(told(&mut link, 1), [1]);
    link.push(&demand(1));
    send(&mut link, now);
    for waiting in 2..1000 {
        assert_eq!(told(&mut link, waiting), [0; 0], "a batch is under way");
    }
    link.arrived();
    assert_eq!(told(&mut link, 1000), [1000]);
    // One more or less of many changes nothing for whoever has slots to give.
    assert_eq!(told(&mut link, 1001), [0; 0]);
    assert_eq!(told(&mut link, 999), [0; 0]);
    assert_eq!(told(&mut link, 500), [500]);
    assert_eq!(told(&mut link, 15), [15]);
    assert_eq!(told(&mut link, 14), [14]);
}

#[test]
fn whoever_was_told_of_tasks_is_told_when_none_wait_any_more() {
    let mut link = listed();
    assert_eq!(told(&mut link, 0), [0; 0], "it never knew of any");
    assert_eq!(told(&mut link, 2), [2]);
    link.has_granted(&queue("queue"), 2);
    assert_eq!(
        told(&mut link, 0),
        [0],
        "also when it has granted a slot for each"
    );
    assert!(!link.was_told(&queue("queue")));
    assert_eq!(told(&mut link, 1), [1]);
}

#[test]
fn one_that_was_given_up_is_told_nothing_until_it_answers() {
    let (mut link, now) = (listed(), Instant::now());
    link.push(&demand(1));
    send(&mut link, now);
    let later = now + SESSION_LOST_AFTER;
    assert!(link.give_up(later));
    assert!(!link.is_heard());
    assert_eq!(told(&mut link, 1), [0; 0]);
    send(&mut link, later);
    assert!(link.arrived(), "it is to be told everything");
    assert!(link.is_heard());
    link.knows_nothing([queue("queue")]);
    assert_eq!(link.demands(|_| 1).len(), 1);
}

#[test]
fn what_is_not_understood_makes_both_begin_anew() {
    let (mut from, mut to, now) = (listed(), listed(), Instant::now());
    from.push(&demand(1));
    let (number, batch) = send(&mut from, now);
    let newer = serde_json::to_string(&batch)
        .unwrap()
        .replace("Demand", "Wish");
    let batch = serde_json::from_str(&newer).unwrap();
    let Taken::Void { round, anew: true } = to.take(batch) else {
        unreachable!("it may have been a task that somebody waits for");
    };
    assert!(from.is_under_way(number));
    from.begin_anew(Some(round));
    from.push(&demand(2));
    let (_, batch) = send(&mut from, now);
    assert_eq!(taken(to.take(batch)), (vec![2], false));
}
