//! The report as a whole, over made-up records.

use super::cells::{self, MARK};
use super::checks::architectures;
use super::search::{Eaten, Search};
use super::synthetic::{self, HEAD, cell, evaluation, seeds, threats};
use crate::made_up::{self, assert_balanced, assert_offline, read, reseal};
use crate::run::Run;
use crate::verdict::Verdict;
use std::path::Path;
use tox_search::nas::{Evaluate, SearchKind};
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_study::plan::trial_id;
use tox_study::record::{NasOutcome, Outcome, Record};
use tox_study::spec::{Defence, Learner, TrialSpec};

fn some_missing(i: usize) -> u8 {
    match i {
        7 => 1,
        13..=14 => 2,
        _ => 0,
    }
}

fn folder(specs: &[TrialSpec], state: impl Fn(usize) -> u8) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    made_up::write(dir.path(), HEAD, specs, synthetic::record, state);
    dir
}

/// Changes the records of some specs.
fn change(dir: &Path, specs: &[TrialSpec], edit: impl Fn(usize, &mut NasOutcome)) {
    for spec in specs {
        let path = dir.join("trials").join(trial_id(spec)).join("record.json");
        let mut record = Record::read(&path).unwrap();
        match &mut record.outcome {
            Outcome::Nas(outcome) => edit(spec.seed as usize, outcome),
            other => panic!("not a search: {other:?}"),
        }
        reseal(&path, record);
    }
}

/// Sets the accuracies of a cell, seed by seed, in a table whose mean is 90.
fn accuracies(dir: &Path, specs: &[TrialSpec], values: [f64; 3]) {
    change(dir, specs, |seed, o| {
        let mut found = evaluation(values[seed]);
        found.table.as_mut().unwrap().random.mean = 90.0;
        o.evaluation = Some(found);
    });
}

fn findings(dir: &Path) -> String {
    let run = Run::load(dir).unwrap();
    let cells = cells::all(&run);
    let searches = Search::all(&run, &cells);
    let claims = super::claims::all(&searches);
    let mut found = super::findings::findings(&run, &cells, &searches, &claims);
    for claim in &claims {
        for case in &claim.cases {
            let (setting, evidence) = (&case.setting, &case.evidence);
            let number = claim.number;
            found.push(format!(
                "  {number} {setting}: {evidence}: {:?}",
                case.verdict
            ));
        }
    }
    found.join("\n")
}

/// Clean and one attack of P-DARTS.
fn pair() -> (Vec<TrialSpec>, Vec<TrialSpec>) {
    let threats = threats();
    let of = |threat| seeds(SearchKind::PDarts, threat, "cifar10");
    (of(&threats[0]), of(&threats[2]))
}

/// Asks something of a run.
fn ask<T>(dir: &Path, question: impl Fn(&[Search]) -> T) -> T {
    let run = Run::load(dir).unwrap();
    let cells = cells::all(&run);
    question(&Search::all(&run, &cells))
}

#[test]
fn csv_headline_and_findings_are_as_before() {
    let specs = synthetic::specs();
    let dir = folder(&specs, some_missing);
    let paths = crate::write(dir.path()).unwrap();
    let csv = read(&paths.csv);
    assert_eq!(csv.lines().count(), 1 + specs.len() - 3);
    let width = |line: &str| line.split(',').count();
    let head: Vec<&str> = csv.lines().take(4).collect();
    assert_eq!(width(head[0]), 61);
    assert!(head.iter().all(|line| width(line) == 61));
    insta::assert_snapshot!("results_csv", head.join("\n"));
    insta::assert_snapshot!("headline", crate::headline(dir.path()).unwrap());
    insta::assert_snapshot!("findings", findings(dir.path()));
}

#[test]
fn page_and_figures_are_well_formed_and_offline() {
    let dir = folder(&synthetic::specs(), some_missing);
    let paths = crate::write(dir.path()).unwrap();
    let html = read(&paths.html);
    assert_balanced(&html);
    assert_offline(&html);
    for id in [
        "findings",
        "claims",
        "tables",
        "figures",
        "architectures",
        "signals",
        "attack",
        "settings",
        "provenance",
    ] {
        let section = format!("<section id=\"{id}\">");
        assert!(html.contains(&section), "no section {id}");
    }
    let names: Vec<_> = paths
        .figures
        .iter()
        .map(|p| p.file_stem().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "accuracy-against-poison",
            "gain-left",
            "ops",
            "alphas-error",
            "gradient-cancelling",
        ]
    );
    for path in &paths.figures {
        let text = read(path);
        roxmltree::Document::parse(&text).unwrap();
        let bad = text.contains("NaN") || text.contains("inf,");
        assert!(!bad, "{}", path.display());
    }
}

#[test]
fn text_from_recipes_and_records_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&\u{1b}[31m";
    let (mut clean, mut attacked) = pair();
    for spec in clean.iter_mut().chain(&mut attacked) {
        spec.data.dataset = evil.into();
        spec.cell = format!("{evil}{}", spec.cell);
    }
    let specs = [clean, attacked].concat();
    let dir = folder(&specs, |_| 0);
    change(dir.path(), &specs[3..4], |_, o| {
        o.poison.as_mut().unwrap().check.unreliable = Some(evil.into());
        let change = tox_search::nas::diagnostics::Change {
            name: evil.into(),
            clean: Some(1.0),
            poisoned: Some(2.0),
        };
        o.diagnostics.as_mut().unwrap().changes = vec![change];
        let evaluation = o.evaluation.as_mut().unwrap();
        evaluation.table.as_mut().unwrap().column = evil.into();
    });
    let paths = crate::write(dir.path()).unwrap();
    let html = read(&paths.html);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    assert_balanced(&html);
    for path in &paths.figures {
        roxmltree::Document::parse(&read(path)).unwrap();
    }
    assert!(!crate::headline(dir.path()).unwrap().contains('\u{1b}'));
}

#[test]
fn an_unfinished_run_still_has_a_report() {
    let specs = synthetic::specs();
    for keep in [0, 1, 7] {
        let dir = folder(&specs, |i| if i < keep { 0 } else { 2 });
        let paths = crate::write(dir.path()).unwrap();
        assert_balanced(&read(&paths.html));
        assert_eq!(read(&paths.csv).lines().count(), keep + 1);
        assert!(findings(dir.path()).starts_with("Incomplete"));
        let headline = crate::headline(dir.path()).unwrap();
        assert!(headline.contains("incomplete"), "{headline}");
        // Of what is not there nothing is drawn.
        assert_eq!(paths.figures.is_empty(), keep == 0);
    }
}

#[test]
fn drop_gain_and_what_is_eaten_by_hand() {
    let (clean, attacked) = pair();
    let specs = [clean.clone(), attacked.clone()].concat();
    let dir = folder(&specs, |_| 0);
    // Gains 3, 4, 5 over 90; drops 1, 2, 3.
    accuracies(dir.path(), &clean, [93.0, 94.0, 95.0]);
    accuracies(dir.path(), &attacked, [92.0, 92.0, 92.0]);
    ask(dir.path(), |searches| {
        let s = &searches[0];
        let cell = s.doses("RLF")[0];
        let (drop, gain) = (s.drop(cell).unwrap(), s.gain(s.clean().unwrap()).unwrap());
        assert_eq!((drop.n, drop.mean, gain.mean), (3, 2.0, 4.0));
        // 4.3027 * 1 / sqrt(3)
        assert!((drop.half.unwrap() - 2.4841).abs() < 1e-4);
        assert_eq!(s.gain(cell).unwrap().mean, 2.0);
        let Eaten::Share(share) = s.eaten(cell) else {
            panic!("no share");
        };
        // |2 - 4 r| = 2.4841 |1 - r|
        assert_eq!((share.n, share.value), (3, 0.5));
        assert!((share.ends.0 + 0.3194).abs() < 1e-3, "{share:?}");
        assert!((share.ends.1 - 0.6916).abs() < 1e-3, "{share:?}");
        assert!(s.drop(s.clean().unwrap()).is_none());
    });
    let headline = crate::headline(dir.path()).unwrap();
    assert!(headline.contains("+2.00 ± 2.48"), "{headline}");
    assert!(headline.contains("50 (-32 to 69)"), "{headline}");
}

#[test]
fn a_gain_that_may_be_chance_is_not_divided_by() {
    let (clean, attacked) = pair();
    let specs = [clean.clone(), attacked.clone()].concat();
    let dir = folder(&specs, |_| 0);
    // Gains -2, 2, 6: mean 2, half 9.94.
    accuracies(dir.path(), &clean, [88.0, 92.0, 96.0]);
    accuracies(dir.path(), &attacked, [85.0, 89.0, 93.0]);
    ask(dir.path(), |searches| {
        let s = &searches[0];
        assert_eq!(s.drop(s.doses("RLF")[0]).unwrap().mean, 3.0);
        let expected = Eaten::None("clean gain not above 0");
        assert_eq!(s.eaten(s.doses("RLF")[0]), expected);
    });
    let found = findings(dir.path());
    assert!(
        found.contains("1b P-DARTS, RLF 50 %: clean gain not above 0 (+2.00 ± 9.94): CannotTell"),
        "{found}"
    );
    assert!(
        found.contains("1a P-DARTS, RLF 50 %: +3.00 ± 0.00 points (3 seeds): NotHeld"),
        "{found}"
    );
    let paths = crate::write(dir.path()).unwrap();
    assert!(!paths.figures.iter().any(|p| p.ends_with("gain-left.svg")));
    let headline = crate::headline(dir.path()).unwrap();
    assert!(headline.contains("n/a"), "{headline}");
}

#[test]
fn without_a_table_random_trials_are_the_measure() {
    let (clean, attacked) = pair();
    let random = seeds(SearchKind::Random, &threats()[0], "cifar10");
    let specs = [clean.clone(), attacked.clone(), random.clone()].concat();
    let dir = folder(&specs, |_| 0);
    let trained = |specs: &[TrialSpec], values: [f64; 3]| {
        change(dir.path(), specs, |seed, o| {
            o.evaluation = Some(evaluation(values[seed]));
            o.evaluation.as_mut().unwrap().table = None;
        });
    };
    trained(&clean, [94.0, 95.0, 96.0]);
    trained(&attacked, [91.0, 92.0, 93.0]);
    trained(&random, [90.0, 91.0, 92.0]);
    ask(dir.path(), |searches| {
        let s = &searches[0];
        assert_eq!(s.gain(s.clean().unwrap()).unwrap().mean, 4.0);
        assert_eq!(s.random_level(), Some(91.0));
        assert_eq!(s.equal_cost(), None);
        let Eaten::Share(share) = s.eaten(s.doses("RLF")[0]) else {
            panic!("no share");
        };
        assert_eq!((share.value, share.ends), (0.75, (0.75, 0.75)));
    });
    let found = findings(dir.path());
    let expected = "1b P-DARTS, RLF 50 %: 75 % (75 to 75 %) of the gain, 3 seeds: Held";
    assert!(found.contains(expected), "{found}");
    assert_balanced(&read(&crate::write(dir.path()).unwrap().html));
}

#[test]
fn architectures_and_ops_by_hand() {
    let (clean, attacked) = pair();
    let specs = [clean.clone(), attacked.clone()].concat();
    let dir = folder(&specs, |_| 0);
    // Index 1: five edges without op and one skip; 0: none at all; 4: one pooling.
    change(dir.path(), &clean, |seed, o| {
        o.genotype = cell([1, 1, 0][seed])
    });
    change(dir.path(), &attacked, |seed, o| {
        o.genotype = cell([1, 4, 0][seed])
    });
    ask(dir.path(), |searches| {
        let s = &searches[0];
        let (clean, attacked) = (s.clean().unwrap(), s.doses("RLF")[0]);
        assert_eq!(architectures(s, clean), (2, 0, 0));
        assert_eq!(architectures(s, attacked), (3, 2, 3));
        let third = 1.0 / 3.0;
        let means = super::ops::means(attacked);
        assert_eq!(means, [[16.0 / 3.0, third, 0.0, 0.0, third]]);
        assert_eq!(super::ops::grouped(attacked), None);
    });
}

#[test]
fn ops_of_the_darts_space_stand_beside_the_papers() {
    let text = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 0), \
                ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), \
                ('skip_connect', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), \
                reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('avg_pool_3x3', 0), \
                ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), \
                ('max_pool_3x3', 0), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))";
    let (mut clean, mut attacked) = pair();
    for spec in clean.iter_mut().chain(&mut attacked) {
        if let Learner::Nas(config) = &mut spec.learner {
            config.space = CellSpace::Darts;
            config.evaluate = Evaluate::None;
        }
    }
    let specs = [clean, attacked].concat();
    let dir = folder(&specs, |_| 0);
    change(dir.path(), &specs, |_, o| {
        o.genotype = CellGenotype::Darts(text.parse().unwrap());
        o.evaluation = None;
    });
    ask(dir.path(), |searches| {
        let (s, attacked) = (&searches[0], searches[0].doses("RLF")[0]);
        assert_eq!(super::ops::grouped(attacked).unwrap(), "2/0/4/2");
        assert_eq!(super::ops::printed(s, attacked), Some("2/0/1.75/4.25"));
        assert_eq!(s.eaten(attacked), Eaten::None("nothing to compare with"));
        assert!(
            super::claims::all(searches)
                .iter()
                .all(|c| c.measured().count() == 0)
        );
    });
    let html = read(&crate::write(dir.path()).unwrap().html).replace("&#x2f;", "/");
    assert_balanced(&html);
    assert!(html.contains("2/0/4/2") && html.contains("1.75/0/4.5/1.75"));
    assert!(html.contains("reduce cell"));
}

#[test]
fn what_failed_its_check_is_marked_wherever_it_stands() {
    let threats = threats();
    let clean = seeds(SearchKind::PDarts, &threats[0], "cifar10");
    let attacked = seeds(SearchKind::PDarts, &threats[6], "cifar10");
    let specs = [clean, attacked.clone()].concat();
    let dir = folder(&specs, |_| 0);
    let pages = |dir: &Path| {
        let paths = crate::write(dir).unwrap();
        let figures: Vec<String> = paths.figures.iter().map(|p| read(p)).collect();
        (read(&paths.html), figures)
    };
    let (html, figures) = pages(dir.path());
    let class = "<span class=\"dagger\"";
    assert!(!html.contains(class));
    let label = |figure: &String, mark: &str| figure.contains(&format!("{mark}</text>"));
    assert!(!figures.iter().any(|f| label(f, MARK)));
    let why = "gradient cancelling did not lower its loss";
    change(dir.path(), &attacked[1..2], |_, o| {
        o.poison.as_mut().unwrap().check.unreliable = Some(why.into());
    });
    let (html, figures) = pages(dir.path());
    // Accuracy, every trial, architectures, signals and two tables of checks; their footnotes.
    let marked = html
        .matches(&format!("{class} title=\"seed 1: {why}\""))
        .count();
    assert_eq!(marked, 5);
    assert_eq!(html.matches(&format!("{class} title=\"{why}\"")).count(), 1);
    assert_eq!(html.matches("The attack failed its own check:").count(), 5);
    assert_eq!(figures.len(), 5);
    for figure in &figures {
        assert!(label(figure, MARK), "{figure:.300}");
    }
    let found = findings(dir.path());
    assert!(
        found.contains("Warning: the attack failed its own check in"),
        "{found}"
    );
    assert!(
        found.contains("1 of 3 trials (gradient cancelling"),
        "{found}"
    );
    assert!(found.contains("1a P-DARTS, GC 50 % †"), "{found}");
    assert!(found.contains("(1 case, 1 of them †)"), "{found}");
    let headline = crate::headline(dir.path()).unwrap();
    assert!(headline.contains("GC 50 % †"), "{headline}");
}

#[test]
fn a_search_that_cannot_have_seen_the_poison_must_not_change() {
    let threats = threats();
    let mut specs = Vec::new();
    for threat in [&threats[0], &threats[2], &threats[4]] {
        specs.extend(seeds(SearchKind::TeNas, threat, "cifar10"));
    }
    let dir = folder(&specs, |_| 0);
    // Labels: three trials; the noise may change what it likes.
    let found = findings(dir.path());
    assert!(
        found.contains("under poisons of labels (3 of 3)"),
        "{found}"
    );
    change(dir.path(), &specs[6..9], |_, o| o.genotype = cell(77));
    assert!(!findings(dir.path()).contains("violated"));
    change(dir.path(), &specs[4..5], |_, o| o.genotype = cell(77));
    let found = findings(dir.path());
    assert!(found.starts_with("Warning: violated"), "{found}");
    assert!(found.contains("te-nas), seed 1. That is a bug"), "{found}");
    assert!(!found.contains("Check passed"), "{found}");
}

#[test]
fn claims_are_judged_over_complete_cells_alone() {
    let threats = threats();
    let of = |search, threat| seeds(search, threat, "cifar10");
    let specs = [
        of(SearchKind::PDarts, &threats[0]),
        of(SearchKind::PDarts, &threats[1]),
        of(SearchKind::PDarts, &threats[2]),
        of(SearchKind::TeNas, &threats[0]),
        of(SearchKind::TeNas, &threats[2]),
        seeds(SearchKind::TeNas, &threats[0], "mnist"),
    ]
    .concat();
    let dir = folder(&specs, |_| 0);
    let set = |at: usize, values| accuracies(dir.path(), &specs[3 * at..3 * at + 3], values);
    set(0, [94.0, 94.1, 94.2]);
    set(2, [91.0, 91.3, 91.2]);
    set(3, [90.1, 90.0, 89.9]);
    set(4, [90.1, 90.0, 89.9]);
    set(5, [92.0, 92.1, 92.2]);
    let verdicts = |dir: &Path| {
        ask(dir, |searches| {
            let claims = super::claims::all(searches);
            let of = |c: &crate::verdict::Claim| (c.number, c.cases[0].verdict, c.cases.len());
            claims.iter().map(of).collect::<Vec<_>>()
        })
    };
    use Verdict::{Held, NotHeld};
    assert_eq!(
        verdicts(dir.path()),
        [
            // It lost 3.0, 2.8 and 3.0 of 4.0, 4.1 and 4.2.
            ("1a", NotHeld, 1),
            ("1b", Held, 1),
            ("2", Held, 1),
            ("3a", Held, 1),
            ("3b", Held, 1),
            ("3c", Held, 1),
        ]
    );
    // Without the last seed of the most poison there is nothing to judge of it, and less poison does
    // not stand in for it.
    let partial = folder(&specs, |i| if i == 8 { 2 } else { 0 });
    let numbers: Vec<&str> = verdicts(partial.path()).iter().map(|v| v.0).collect();
    assert_eq!(numbers, ["3a", "3b", "3c"]);
}

#[test]
fn a_countermeasure_stands_beside_the_attack_without_it() {
    let (clean, attacked) = pair();
    let mut defended = attacked.clone();
    for spec in &mut defended {
        // Another cell's name, and any defence: what it does is not the report's to know.
        spec.cell = "cleaned".into();
        spec.defence = Defence::Screen;
    }
    let specs = [clean.clone(), attacked.clone(), defended.clone()].concat();
    let dir = folder(&specs, |_| 0);
    accuracies(dir.path(), &clean, [94.0, 94.0, 94.0]);
    accuracies(dir.path(), &attacked, [92.0, 92.0, 92.0]);
    accuracies(dir.path(), &defended, [93.0, 93.5, 94.0]);
    ask(dir.path(), |searches| {
        let s = &searches[0];
        // Neither the attack's figures nor its claims are of defended cells.
        assert_eq!(s.doses("RLF").len(), 1);
        let cell = s.cells.iter().find(|c| c.defended()).unwrap();
        assert_eq!(s.condition(cell), "RLF 50 %, screen");
        assert_eq!(s.drop(cell).unwrap().mean, 0.5);
        let without = s.undefended(cell).unwrap();
        assert_eq!(without.label(), attacked[0].cell);
    });
    let html = read(&crate::write(dir.path()).unwrap().html);
    assert!(html.contains("Countermeasures") && html.contains("+1.50\u{a0}±\u{a0}1.24"));
}

#[test]
fn settings_that_differ_are_named() {
    let specs = synthetic::specs();
    let dir = folder(&specs, |_| 2);
    ask(dir.path(), |searches| {
        let rows = super::settings::differences(searches);
        let find = |key: &str| rows.iter().find(|d| d.key == key);
        let space = find("learner.space").unwrap();
        assert_eq!(
            (space.paper.as_str(), space.ours.as_str()),
            ("darts", "nasbench201")
        );
        assert_eq!(find("data.train").unwrap().ours, "500");
        assert_eq!(find("repetitions").unwrap().paper, "4");
        assert_eq!(find("repetitions").unwrap().ours, "3");
        // The searches have their published numbers, and so have the attacks.
        assert!(
            !rows
                .iter()
                .any(|d| d.key.contains("p-darts") || d.key.contains("threat"))
        );
    });
}

/// Writes a report to look at, as the sample of ENAS does.
#[test]
#[ignore = "writes where TOXSCREEN_REPORT_SAMPLE says"]
fn sample() {
    let dir = std::env::var("TOXSCREEN_REPORT_SAMPLE").unwrap();
    let dir = Path::new(&dir).join("nas");
    let specs = synthetic::specs();
    made_up::write(&dir, HEAD, &specs, synthetic::record, some_missing);
    crate::write(&dir).unwrap();
}
