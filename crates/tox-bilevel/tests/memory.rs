//! The bytes that each way says it holds against those that it allocates.
#![allow(clippy::unwrap_used)]

mod case;

use case::{problem, reals, regulariser};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tox_bilevel::config::{Keep, Penalty};
use tox_bilevel::hypergradient::{
    ConjugateGradient, Exact, ForwardMode, Hypergradient, ReverseMode,
};
use tox_bilevel::inner::Problem;
use tox_bilevel::model::Model;

/// Counts what is allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator. The default `realloc` and `alloc_zeroed` come here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(live, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that live at once while `f` runs, beyond those before.
fn peak<T>(f: impl FnOnce() -> T) -> usize {
    let before = LIVE.load(SeqCst);
    PEAK.store(before, SeqCst);
    let result = f();
    let peak = PEAK.load(SeqCst) - before;
    drop(result);
    peak
}

fn check<M: Hypergradient<f64>>(name: &str, method: &M, problem: &Problem<'_, f64>) {
    let said = method.bytes(problem);
    let found = peak(|| method.of(problem).unwrap());
    // A pass over the training set, one with a direction, and one over the validation set.
    let room = 3 * peak(|| problem.train().unwrap());
    println!("{name}: says {said}, allocates {found}, a pass up to {room}");
    assert!(said > 2 * room, "{name}: too small to tell");
    assert!(
        said <= found && found <= said + room,
        "{name}: says {said}, allocates {found}, a pass up to {room}"
    );
}

#[test]
fn every_way_holds_what_it_says() {
    let model = Model {
        features: 300,
        hidden: Vec::new(),
        classes: 2,
        leak: 0.01,
    };
    // Reals: 8-bit rows would be made f64 block by block, in more room than what is held.
    let (clean, poison) = (reals(500, 300, 2, 1), reals(4, 300, 2, 2));
    let (valid, start) = (reals(20, 300, 2, 3), vec![0.0; 301]);
    let problem = Problem {
        regulariser: regulariser(Penalty::L2, true, &[-1.0]),
        ..problem(&model, (&clean, &poison), &valid, &start, (3000, 0.01))
    };
    let with = |steps| Problem {
        steps,
        ..problem.clone()
    };
    // The threads' own.
    problem.train().unwrap();
    let reverse = |keep| ReverseMode { keep };
    check("reverse", &reverse(Keep::Everything), &with(300));
    check("states", &reverse(Keep::States), &with(700));
    check("checkpoints", &reverse(Keep::Checkpoints), &problem);
    let some = ForwardMode {
        poison: Some((0..500).collect()),
    };
    check("forward", &some, &with(3));
    check("exact", &Exact::default(), &with(3));
    // Conjugate gradient holds less than a pass does.
    let problem = with(3);
    let cg = ConjugateGradient::default();
    let room = 3 * peak(|| problem.train().unwrap());
    let (said, found) = (
        Hypergradient::<f64>::bytes(&cg, &problem),
        peak(|| cg.of(&problem).unwrap()),
    );
    assert!(said <= found && found <= said + room);
}
