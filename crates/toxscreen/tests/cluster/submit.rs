//! How trials are put into jobs, and what is refused.

use super::cluster::{Cluster, signal, trials};
use super::{QUICK, SLOW, local, on, recipe, same_results};
use std::fs;
use std::path::Path;
use tox_testkit::program::Said;

/// The tasks of each array of the fake.
fn arrays(cluster: &Cluster) -> Vec<usize> {
    let jobs = (1..).map(|job| cluster.state().join(job.to_string()).join("facts"));
    let facts = jobs.map_while(|path| fs::read_to_string(path).ok());
    let last = |facts: String| facts.lines().next().unwrap().parse::<usize>().unwrap();
    facts.map(|facts| last(facts) + 1).collect()
}

#[test]
fn limits_of_the_cluster_are_respected() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), QUICK);
    // Six tasks an array by configuration, of which no more than nine may be in the queue.
    let cluster = Cluster::fake().with("FAKE_ARRAY", "6");
    let words = "run digits.toml --out out --engine slurm --slurm poll=0.1,limit=9";
    let mut driver = cluster.spawn(dir.path(), words);
    cluster.wait("the end", || {
        let count = cluster.queue().len();
        assert!(count <= 9, "{count} tasks");
        driver.try_wait().unwrap()
    });
    Said::of(driver.wait_with_output().unwrap()).must(0, &["others follow", "24 of 24"]);
    let arrays = arrays(&cluster);
    assert!(
        arrays.iter().all(|n| *n <= 6) && arrays.iter().sum::<usize>() == 24,
        "{arrays:?}"
    );
    same_results(dir.path(), "out");
}

#[test]
fn short_trials_are_packed_and_a_configuration_is_read() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), QUICK);
    let cluster = Cluster::fake();
    let config = dir.path().join("config/toxscreen");
    fs::create_dir_all(&config).unwrap();
    let template = dir.path().join("job.sh");
    fs::write(
        &template,
        "#!/bin/sh\necho a module is loaded\n{{ command }} --id \"$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" {{ tasks }})\"\n",
    )
    .unwrap();
    let text = format!(
        "[engine.slurm]\npartition = \"cpu\"\npoll = 0.2\npack = 10\ntemplate = \"{}\"\n",
        template.display()
    );
    fs::write(config.join("config.toml"), text).unwrap();
    on(
        &cluster,
        dir.path(),
        "run digits.toml --out out --engine slurm --pack 8",
        0,
        &["24 of 24"],
    );
    assert_eq!(arrays(&cluster), [3]);
    let log = fs::read_to_string(dir.path().join("out/cluster/logs/1_0.log")).unwrap();
    assert!(log.contains("a module is loaded"), "{log}");
    same_results(dir.path(), "out");
}

/// Two cells that a classifier of CLF crafts the poison of, beside a clean one, with two seeds.
fn sharing(dir: &Path) {
    recipe(dir, QUICK);
    let text = fs::read_to_string(dir.join("digits.toml")).unwrap();
    let (head, _) = text.split_once("[[cell]]").unwrap();
    let clf = |budget: &str| {
        format!(
            "[[cell]]\nlabel = \"clf-{budget}\"\nthreat = {{ kind = \"clf\", budget = {budget}, \
             classifier = {{ width = 2, fit = {{ epochs = 1 }} }} }}\n"
        )
    };
    let text = head.replace("[0, 1, 2, 3, 4, 5]", "[0, 1]")
        + "[[cell]]\nlabel = \"clean\"\n"
        + &clf("0.1")
        + &clf("0.3");
    fs::write(dir.join("digits.toml"), text).unwrap();
}

#[test]
fn what_trials_share_is_an_array_that_others_wait_for() {
    let dir = tempfile::tempdir().unwrap();
    sharing(dir.path());
    super::TOXSCREEN
        .words(dir.path(), "run digits.toml --out local")
        .must(0, &["6 of 6"]);
    let cluster = Cluster::fake();
    let words = "run digits.toml --out out --engine slurm --slurm poll=0.2";
    on(
        &cluster,
        dir.path(),
        words,
        0,
        &["submitted 2 steps that trials share", "6 of 6"],
    );
    // Two classifiers, then the two clean trials that wait for nobody, and four that wait for the first array.
    assert_eq!(arrays(&cluster), [2, 2, 4]);
    let facts = fs::read_to_string(cluster.state().join("3/facts")).unwrap();
    assert!(facts.ends_with("\n1\n"), "{facts}");
    // The shared array made them: who came after only read.
    for study in ["local", "out"] {
        let names = fs::read_dir(dir.path().join(study).join("shared"))
            .unwrap()
            .flatten();
        let made = names.filter(|e| e.file_name().to_string_lossy().ends_with(".json"));
        assert_eq!(made.count(), 2, "{study}");
    }
    let read = |study: &str| fs::read(dir.path().join(study).join("results.csv")).unwrap();
    assert_eq!(read("local"), read("out"));
    // The same by a command that submits scripts.
    let words = "run digits.toml --out any --engine command --command poll=0.2";
    let mut command = cluster.command(dir.path(), words);
    command.args(["--submit", "sh {script} > /dev/null 2>&1 &"]);
    Said::of(command.output().unwrap()).must(0, &["6 of 6"]);
    assert_eq!(read("local"), read("any"));
}

#[test]
fn any_command_that_takes_a_script_runs_a_study() {
    let dir = tempfile::tempdir().unwrap();
    local(dir.path(), SLOW);
    let cluster = Cluster::fake();
    let start = |more: &[&str]| {
        let words = "run digits.toml --out out --engine command --command poll=0.2 --pack 6";
        let mut command = cluster.command(dir.path(), words);
        command.args([
            "--submit",
            "setsid sh {script} > /dev/null 2>&1 < /dev/null & echo job-{name}",
        ]);
        command.args(more);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let mut driver = start(&[]);
    // A job that is killed with its script says nothing.
    let study = dir.path().join("out");
    let process = cluster.wait("a trial", || trials(&study).first().copied());
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let group = status
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    let mut kill = std::process::Command::new("kill");
    kill.args(["-KILL", "--", &format!("-{group}")])
        .status()
        .unwrap();
    // The others end; this one's trials are waited for until the user says that it is dead.
    cluster.wait("the others", || {
        let done = tox_testkit::program::records(&study).len();
        (done >= 18 && trials(&study).is_empty()).then_some(())
    });
    assert!(driver.try_wait().unwrap().is_none());
    signal("-INT", driver.id());
    Said::of(driver.wait_with_output().unwrap()).must(130, &["--resubmit"]);
    Said::of(start(&["--resubmit"]).wait_with_output().unwrap()).must(0, &["24 of 24 trials done"]);
    same_results(dir.path(), "out");
}

#[test]
fn what_cannot_be_is_refused_before_a_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), QUICK);
    let cluster = Cluster::fake();
    let run = |words: &str, parts: &[&str]| {
        on(
            &cluster,
            dir.path(),
            &format!("run digits.toml --out out {words}"),
            2,
            parts,
        );
        assert!(!dir.path().join("out").exists(), "{words}");
    };
    run("--engine slum", &["no engine \"slum\"", "slurm"]);
    run("--slurm partition=cpu", &["add --engine slurm"]);
    run(
        "--engine slurm --slurm array=0-3",
        &["`array` is toxscreen's to set"],
    );
    run(
        "--engine slurm --slurm pack=none",
        &["`pack` is \"none\"", "1 to 10000"],
    );
    run(
        "--engine slurm --slurm Partition=x",
        &["no option of sbatch"],
    );
    run("--engine command", &["{script}", "qsub {script}"]);
    run("--engine command --submit qsub", &["{script}"]);
    run(
        "--engine command --command sumbit=x --submit x{script}",
        &["no setting `sumbit`", "submit"],
    );
    run("--detach", &["end with this command"]);
    run("--pack 3", &["local", "no setting `pack`"]);
    run(
        "--engine slurm --jobs 4",
        &["--jobs 4", "on others", "--pack"],
    );
    let config = dir.path().join("config/toxscreen");
    fs::create_dir_all(&config).unwrap();
    let file = config.join("config.toml");
    for (text, part) in [
        ("[engine.slum]\n", "there is no engine \"slum\""),
        ("[slurm]\n", "unknown key `slurm`"),
        ("[engine.slurm]\ntime = [1]\n", "`time` must be text"),
        ("engine = 3\n", "must be a table"),
        ("[engine\n", "config.toml"),
    ] {
        fs::write(&file, text).unwrap();
        run("--engine slurm", &[part, "[engine.slurm]"]);
    }
    fs::remove_file(&file).unwrap();
    // What sbatch alone knows, it says.
    let words = "run digits.toml --out out --engine slurm --slurm nonsense=1";
    on(
        &cluster,
        dir.path(),
        words,
        1,
        &["unrecognized option", "--slurm"],
    );
    on(
        &cluster,
        dir.path(),
        "run digits.toml --out out --engine slurm --slurm template=no.sh",
        1,
        &["no.sh"],
    );
}
