#![allow(clippy::unwrap_used)]

use super::{Looked, look};
use std::fs;
use std::path::Path;

/// Three seeds: differences b - a of 1, 2 and 3, whose interval is 2 ± 4.3027 / sqrt(3) = 2.484.
const ROWS: &str = "cell,seed,error,parts,found\n\
                    a,0,1.0,1 3,true\na,1,1.5,2 4,false\na,2,0.5,,true\n\
                    b,0,2.0,,\nb,1,3.5,,\nb,2,3.5,,\n";

fn page(text: &str) -> Looked {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("benches/results");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("x.csv"), ROWS).unwrap();
    look("docs/results/x.md", text, root.path())
}

fn faults(text: &str) -> Vec<String> {
    page(text).faults
}

const LET: &str =
    "<!-- let e(c) = rows('x.csv', cell=c).error; rise = mean(less(e('b'), e('a'))) -->\n";

#[track_caller]
fn fails(text: &str, with: &str) {
    let found = faults(&format!("{LET}\n{text}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(with), "{found:#?}");
}

#[test]
fn right_numbers_stand() {
    let text = "It rises by 2.00 ± 2.48 points, to 3.0,\nin 3 of 3 seeds: cannot tell.\n\
                <!-- n: 2.00 ± 2.48 = rise; 3.0 = mean(e('b')); 3 of 3 = [above(e('b'), e('a')), count(e('a'))]; \
                cannot tell = verdict(rise, 'up') -->\n";
    assert_eq!(faults(&format!("{LET}\n{text}")), [""; 0]);
}

#[test]
fn holm_is_that_of_scipy() {
    // ttest_1samp of three differences: 0.074180, 0.762085, 0.037750; then by hand: twice the first, the second, three times the third.
    let text = "The p values are 0.14836 0.76208 0.11325.\n\
                <!-- n: 0.14836 0.76208 0.11325 = holm([rise, mean(less(e('a'), 0.9)), mean(less(e('b'), 0.5))]) -->\n";
    assert_eq!(faults(&format!("{LET}\n{text}")), [""; 0]);
}

/// Squared deviations of 1.5 and 0.5 over 4 degrees of freedom: 2.7764 * sqrt(0.5 * 2 / 3).
#[test]
fn columns_that_are_not_paired_are_held_apart_by_hand() {
    let text = "They differ by 2.00 ± 1.60 points: held.\n\
                <!-- n: 2.00 ± 1.60 = apart(e('b'), e('a')); held = verdict(apart(e('b'), e('a')), 'up') -->\n";
    assert_eq!(faults(&format!("{LET}\n{text}")), [""; 0]);
}

#[test]
fn wrong_numbers_are_told_with_their_line_and_made_right() {
    let text = format!("{LET}\nIt rises by +2.1 ± 2.48 points.\n<!-- n: +2.1 ± 2.48 = rise -->\n");
    let looked = page(&text);
    assert_eq!(
        looked.faults,
        ["docs/results/x.md:3: says `+2.1 ± 2.48`, but `rise` comes to 2.0000 ± 2.4841"]
    );
    let right = looked.right(&text);
    assert!(
        right.contains("by +2.0 ± 2.48 points.\n<!-- n: +2.0 ± 2.48 = rise -->"),
        "{right}"
    );
    assert_eq!(faults(&right), [""; 0]);
}

#[test]
fn the_guide_is_of_settings() {
    let root = tempfile::tempdir().unwrap();
    let faults = |text: &str| look("docs/guide/x.md", text, root.path()).faults;
    let made = "<!-- generated: keys -->\n\nat most 5 s\n\n<!-- end of generated -->\n";
    assert_eq!(
        faults("The rate is 0.1, the share 5 %, of 3 in all.\n"),
        [""; 0]
    );
    assert_eq!(faults(made), [""; 0]);
    assert_eq!(faults("It takes 5 s.\n").len(), 1);
    assert_eq!(faults("```\nclean  1.0 ± 0.4\n```\n").len(), 1);
    assert_eq!(
        look("CHANGELOG.md", "It takes 5 s.\n", root.path()).faults,
        [""; 0]
    );
}

#[test]
fn an_interval_is_held_too() {
    fails(
        "A rise of 2.00 ± 2.10.<!-- n: 2.00 ± 2.10 = rise -->",
        "comes to 2.0000 ± 2.4841",
    );
    fails(
        "The rise held.<!-- n: held = verdict(rise, 'up') -->",
        "comes to `cannot tell`",
    );
}

#[test]
fn what_looks_like_a_result_needs_a_marker() {
    for (bare, seen) in [
        ("It is 9 % more.", "9 %"),
        ("It takes 3 to 5 times as long.", "3 to 5 times"),
        ("The index is 0.43 there.", "0.43"),
        ("In 7 of 8 seeds it dies.", "7 of 8"),
        ("A step takes 40 ms.", "40 ms"),
        ("The rise is **not held**.", "**not held**"),
    ] {
        fails(bare, &format!("nothing stands behind `{seen}`"));
    }
    let free = "P3 has 12 layers, `lr = 0.1`, see [here](https://x.org/1.5).\n\n```\n0.1 s\n```\n\n    run --rate 0.1\n";
    assert_eq!(faults(free), [""; 0]);
    fails("```\nclean  1.00 ± 0.40\n```\n", "1.00 ± 0.40");
    fails(
        "| a | n |\n|---|---|\n| x | 7 |\n",
        "nothing stands behind `7`",
    );
}

#[test]
fn a_number_of_no_run_says_why() {
    assert_eq!(faults("At 9 % poison.<!-- n: 9 % = # setting -->"), [""; 0]);
    assert_eq!(
        faults("It has 9.0 there.<!-- rest: # paper: Table 1 -->"),
        [""; 0]
    );
    fails("It has 9.0 there.<!-- rest: # paper -->", "does not say");
    fails(
        "It has 9.0 there.<!-- rest: # memory: mine -->",
        "expected `# KIND`",
    );
    fails(
        "It has 9.0 ± 0.5.<!-- rest: # setting -->",
        "nothing stands behind",
    );
    fails("It took 9 s.<!-- rest: # unrecorded: wall time -->", "a †");
    let told = "It took 9 s†.<!-- rest: # unrecorded: wall time -->\n\n† marks what has no rows.";
    assert_eq!(faults(told), [""; 0]);
}

#[test]
fn a_table_has_one_marker() {
    let table = |cell: &str| {
        format!(
            "{LET}\n<!-- cells: -; mean(e(row)); mean(less(e(row), e('a'))) -->\n\
             | cell | error | rise |\n|---|---|---|\n| `a` | 1.0 ± 1.2 | – |\n| **b** | {cell} | +2.0 |\n"
        )
    };
    assert_eq!(faults(&table("3.0 ± 2.2")), [""; 0]);
    let wrong = faults(&table("3.1 ± 2.2"));
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert!(
        wrong[0].starts_with("docs/results/x.md:7: says `3.1 ± 2.2`"),
        "{wrong:#?}"
    );
    assert!(page(&table("3.1 ± 2.2")).right(&table("3.1 ± 2.2")) == table("3.0 ± 2.2"));
}

#[test]
fn mistakes_in_markers_are_told() {
    fails(
        "It is 2.0.<!-- n: 3.0 = rise -->\n<!-- n: 2.0 = # setting -->\n",
        "the text has no `3.0`",
    );
    fails(
        "It is 2.0.<!-- n: 2.0 = mean(rows('y.csv').error) -->",
        "cannot read benches/results/y.csv",
    );
    fails(
        "It is 2.0.<!-- n: 2.0 = mean(rows('x.csv').errors) -->",
        "no column `errors`, but cell, seed",
    );
    fails(
        "It is 2.0.<!-- n: 2.0 = mean(rows('x.csv', cell='c').error) -->",
        "no row with cell=c",
    );
    fails(
        "It is 2.0.<!-- n: 2.0 = mean(less(rows('x.csv').error, e('a'))) -->",
        "more than one row of seed",
    );
    fails("It is 2.0.<!-- n: 2.0 = e('a') -->", "take its `mean`");
    fails("It is 2.0.<!-- n: 2.0 = [1, 2] -->", "has 1 numbers");
    fails(
        "It is 2.0.<!-- n: 2.0 = mean(rows('x.csv').cell) -->",
        "no number",
    );
    fails("It is.<!-- n: 2.0 -->", "expected `TEXT = EXPRESSION`");
    fails("It is 2.0.<!-- n: 2.0 = nothing() -->", "nothing");
}

#[test]
fn the_language_counts() {
    for (written, expression) in [
        ("1.5", "median(e('a'))"),
        ("0.5 to 1.5", "[least(e('a')), most(e('a'))]"),
        ("2.0", "total(rows('x.csv', cell='a').found)"),
        ("2.5", "avg(parts(rows('x.csv', cell='a').parts))"),
        ("1.0, 2.0", "each(parts(rows('x.csv', cell='a').parts, 0))"),
        ("4.0", "count(rows('x.csv', error='>1').error)"),
        ("3.0", "count(rows('x.csv', cell=['a', 'c']).error)"),
        ("3.0 ± 0.0", "mean(plus(less(e('a'), e('a')), 3))"),
        ("3.0, 5.0, 4.0", "each(totals(rows('x.csv').error))"),
        ("50 %", "100 * least(e('a')) / avg(e('a'))"),
        ("0 to 56 %", "wilson(0, 3)"),
        ("0.5", "sd(e('a'))"),
    ] {
        let written = match expression {
            "median(e('a'))" => "1.0",
            _ => written,
        };
        let text = format!("{LET}\nIt is {written}.<!-- n: {written} = {expression} -->\n");
        assert_eq!(faults(&text), [""; 0], "{expression}");
    }
}

#[test]
fn the_example_for_contributors_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let (_, text) = text.split_once("## Numbers in documents").unwrap();
    let example = text.split("```\n").nth(1).unwrap();
    assert_eq!(look("docs/results/x.md", example, &root).faults, [""; 0]);
    let wrong = example.replace("0.84", "0.48");
    assert_eq!(look("docs/results/x.md", &wrong, &root).faults.len(), 1);
}

/// Sentences that once stood in docs/results and that the rows contradict.
#[test]
fn what_the_rows_contradict_does_not_stand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (text, comes_to) in [
        (
            "More than half of it is that of the flips: held.<!-- let b(p) = rows('bilevel_fig2_mnist.csv', cell='none', \
             points=p); flips = less(totals(b('>0').flipped_test_error), totals(b('<1750').test_error)); \
             rise = less(b(1750).test_error, b(0).test_error) -->\
             <!-- n: held = verdict(mean(less(times(flips, 2), rise)), 'up') -->",
            "comes to `not held`",
        ),
        (
            "TE-NAS is 6.0 ± 0.7 above a random cell that is connected.<!-- n: 6.0 ± 0.7 = mean(less(rows('nas_laptop.csv', \
             search='te-nas', cell='clean').accuracy, avg(rows('nasbench201_controls.csv', cells='connected').mean))) -->",
            "comes to 4.29",
        ),
        (
            "RoBoT is 1.3 ± 3.3 above random search of its cost.<!-- let r = rows('nas_laptop.csv', search='robot', \
             cell='clean') -->\n<!-- n: 1.3 ± 3.3 = mean(less(r.accuracy, r.random_search_mean)) -->",
            "comes to -3.8",
        ),
        (
            "With CIFAR-10 unseen nobody can tell: not held.<!-- let c(v) = rows('rcnas_laptop.csv', cell='cifar10-pgd20', \
             variant=v).robust_after_3 -->\
             <!-- n: not held = verdict(mean(less(c('unseen-data'), c('from-scratch'))), 'up') -->",
            "comes to `held`",
        ),
        (
            "It looked up 845 of them.<!-- n: 845 = mean(rows('rcnas_laptop.csv', method='rc-nas', \
             cell='!=cifar10-trained', by='trial').meta_evaluations) -->",
            "comes to 847",
        ),
        (
            "At P3 b to d 0 steps are skipped.<!-- n: 0 = least(rows('ssp_laptop.csv', cell=['3b', '3c', '3d'], \
             by='trial').nonfinite_steps) -->",
            "comes to 6",
        ),
        (
            "At q = 1 the guard leaves nothing: not held.<!-- let s(c, n) = rows('ssp_collapse.csv', cell=c, \
             nan_policy=n).test_error -->\
             <!-- n: not held = verdict(mean(less(s('oneshot-2', 'guarded'), s('clean', 'torch'))), 'up') -->",
            "comes to `held`",
        ),
        (
            "The median first step is 12.<!-- n: 12 = median(rows('ssp_collapse.csv', cell='oneshot-6', \
             nan_policy='torch').first_nonfinite_step) -->",
            "comes to 10",
        ),
        (
            "A step is 2.5 times as fast at its best.<!-- n: 2.5 = most(rows('enas_step_toxscreen.csv', threads=2).total) / \
             most(rows('enas_step_pytorch.csv', threads=2).total) -->",
            "comes to 2.36",
        ),
    ] {
        let found = look("docs/results/x.md", text, &root).faults;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(comes_to), "{found:#?}");
    }
}
