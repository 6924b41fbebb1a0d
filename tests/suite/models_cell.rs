//! The flight cell under a scheduler that decides at every lock who goes on: random schedules, priority schedules (PCT), and one
//! schedule after the other where the scene is small.
//!
//! The cell is the one of the library, compiled over locks of the scheduler. A schedule in which somebody waits forever is
//! reported by the scheduler itself. Attacks M2 and M7.

use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;

use cell::{Board, Boarding, Landed, Pilot};

use crate::support::figures::{figure, tell};

#[allow(dead_code, reason = "the scenes use a part of the cell")]
#[path = "../../src/renew/flight/cell.rs"]
mod cell;

/// The locks that the cell is compiled over here.
mod sync {
    pub(super) use shuttle::sync::Arc;

    pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

/// How many schedules of each kind.
fn schedules() -> usize {
    figure(100_000, 2_000)
}

/// Runs `scene` under random and under priority schedules; how many that were.
fn explore(scene: impl Fn() + Send + Sync + Clone + 'static) -> usize {
    let count = schedules();
    shuttle::check_random(scene.clone(), count);
    for depth in [2, 3, 5] {
        shuttle::check_pct(scene.clone(), count / 2, depth);
    }
    count + 3 * (count / 2)
}

/// A flight that lands, breaks off, or is dropped before it ever ran.
async fn fly(pilot: Pilot<u8, u8>, flying: Arc<AtomicUsize>) {
    assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "two flights for one key at a time");
    yield_now().await;
    let breaks_off = thread_rng().gen_bool(0.3);
    assert_eq!(flying.fetch_sub(1, Ordering::SeqCst), 1);
    if breaks_off {
        drop(pilot);
    } else {
        pilot.land(7);
    }
}

/// `callers` board at once; some go away while they wait; everybody else gets an end.
fn boarding(callers: usize) {
    let board: Arc<Board<u8, u8>> = Arc::new(Board::new(1));
    let flying = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (board, flying) = (Arc::clone(&board), Arc::clone(&flying));
            spawn(async move {
                let seat = match board.board(&1) {
                    Boarding::First(pilot, seat) => {
                        if thread_rng().gen_bool(0.1) {
                            drop(pilot);
                        } else {
                            spawn(fly(pilot, flying));
                        }
                        seat
                    }
                    Boarding::Joined(seat) => seat,
                    Boarding::Crowded => unreachable!("there is one key, and room for one"),
                };
                if thread_rng().gen_bool(0.3) {
                    yield_now().await;
                    drop(seat);
                    return None;
                }
                Some(seat.await)
            })
        })
        .collect();
    for task in tasks {
        let landed = block_on(task).unwrap();
        assert!(matches!(landed, None | Some(Landed::Brought(7) | Landed::Lost)));
    }
}

#[test]
fn every_seat_is_told_how_the_flight_ended_under_every_schedule() {
    let random = explore(|| boarding(4));
    // Two callers and no chance: one schedule after the other, as far as the bound.
    static ALL: AtomicUsize = AtomicUsize::new(0);
    shuttle::check_dfs(
        || {
            ALL.fetch_add(1, Ordering::SeqCst);
            let board: Arc<Board<u8, u8>> = Arc::new(Board::new(1));
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let board = Arc::clone(&board);
                    spawn(async move {
                        match board.board(&1) {
                            Boarding::First(pilot, seat) => {
                                spawn(async move { pilot.land(7) });
                                seat.await
                            }
                            Boarding::Joined(seat) => seat.await,
                            Boarding::Crowded => unreachable!("there is one key, and room for one"),
                        }
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(block_on(task).unwrap(), Landed::Brought(7));
            }
            assert_eq!(board.flying(), 0, "nothing is left behind");
        },
        Some(schedules() * 10),
    );
    let all = ALL.load(Ordering::SeqCst);
    tell(&format!("flight cell, seats: {random} random and priority schedules, {all} systematic ones"));
    assert!(1_000 < all, "only {all} systematic schedules: is anything left to schedule?");
}

/// Where results are written down, and how often the issuer was asked.
#[derive(Default)]
struct Known {
    result: shuttle::sync::Mutex<Option<u8>>,
    exchanges: AtomicUsize,
}

/// The order of things in `Flights`: look, board, look again, exchange, write down, land. `late` writes down after landing.
fn renewing(callers: usize, late: bool) -> usize {
    let board: Arc<Board<u8, u8>> = Arc::new(Board::new(1));
    let known = Arc::new(Known::default());
    let tasks: Vec<_> = (0..callers)
        .map(|number| {
            let (board, known) = (Arc::clone(&board), Arc::clone(&known));
            spawn(async move {
                if let Some(result) = *known.result.lock().unwrap() {
                    return result;
                }
                let seat = match board.board(&1) {
                    Boarding::First(pilot, seat) => {
                        spawn(async move {
                            if let Some(result) = *known.result.lock().unwrap() {
                                return pilot.land(result);
                            }
                            known.exchanges.fetch_add(1, Ordering::SeqCst);
                            yield_now().await;
                            if late {
                                pilot.land(7);
                                *known.result.lock().unwrap() = Some(7);
                            } else {
                                *known.result.lock().unwrap() = Some(7);
                                pilot.land(7);
                            }
                        });
                        seat
                    }
                    Boarding::Joined(seat) => seat,
                    Boarding::Crowded => unreachable!("there is one key, and room for one"),
                };
                if 0 < number && thread_rng().gen_bool(0.2) {
                    // Whoever goes away takes nothing with them.
                    return 7;
                }
                match seat.await {
                    Landed::Brought(result) => result,
                    Landed::Lost => unreachable!("nobody breaks off here"),
                }
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(block_on(task).unwrap(), 7);
    }
    known.exchanges.load(Ordering::SeqCst)
}

#[test]
fn a_result_that_is_written_down_before_landing_costs_one_exchange_under_every_schedule() {
    let schedules = explore(|| assert_eq!(renewing(4, false), 1, "asked more than once"));
    tell(&format!("flight cell, exchanges: {schedules} random and priority schedules"));

    // The check sees what it looks for: written down after landing, some schedule asks twice.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    shuttle::check_random(
        || {
            MOST.fetch_max(renewing(4, true), Ordering::SeqCst);
        },
        1_000,
    );
    assert!(1 < MOST.load(Ordering::SeqCst), "the order of writing down and landing matters");
}

#[test]
fn a_full_board_turns_away_whole_flights_and_nobody_who_has_a_seat() {
    let schedules = explore(|| {
        let board: Arc<Board<u8, u8>> = Arc::new(Board::new(2));
        let tasks: Vec<_> = (0..4_u8)
            .map(|caller| {
                let board = Arc::clone(&board);
                spawn(async move {
                    let key = caller % 3;
                    let seat = match board.board(&key) {
                        Boarding::First(pilot, seat) => {
                            assert!(board.flying() <= 2, "more flights than may be");
                            spawn(async move { pilot.land(key) });
                            seat
                        }
                        Boarding::Joined(seat) => seat,
                        Boarding::Crowded => return,
                    };
                    assert_eq!(seat.await, Landed::Brought(key), "the end of another flight");
                })
            })
            .collect();
        for task in tasks {
            block_on(task).unwrap();
        }
    });
    tell(&format!("flight cell, capacity: {schedules} random and priority schedules"));
}
