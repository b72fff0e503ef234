//! What an attack is.

use super::keys::Keys;
use super::{Attack, Found};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt::Debug;
use tox_data::ranges::OutOfRange;

/// The loss whose gradient an attack follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// The cross-entropy.
    CrossEntropy,
    /// The right class's logit against another's: CW, DLR, FAB.
    Margin,
    /// Another loss, or several.
    Other,
}

/// What evaluations, searches and reports ask of an attack, with its settings. The default is a black box of one
/// query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Its word in recipes and records, such as `pgd`.
    pub kind: &'static str,
    /// As prose names it; empty: as `kind`.
    pub title: &'static str,
    /// The loss whose gradient it follows; `None` if it is a black box, which sees logits only.
    pub gradient: Option<Gradient>,
    /// Steps of a run; of a black box, queries.
    pub steps: usize,
    /// Passes of an image that it never fools; a backward pass costs two.
    pub passes: f64,
    /// Classes that it needs.
    pub least_classes: usize,
    /// Whether it is as strong as AutoAttack's attack along the same gradient, or as AutoAttack's black box, so
    /// that an evaluation with it may be called reliable.
    pub thorough: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            kind: "own",
            title: "",
            gradient: None,
            steps: 1,
            passes: 1.0,
            least_classes: 2,
            thorough: false,
        }
    }
}

impl Facts {
    /// As prose names the attack.
    pub fn title(&self) -> &'static str {
        match self.title {
            "" => self.kind,
            title => title,
        }
    }

    /// Whether it sees logits only.
    pub fn black_box(&self) -> bool {
        self.gradient.is_none()
    }
}

/// An attack with its settings.
///
/// A type that is `Clone`, `Debug`, `PartialEq` and `Serialize` need only state its facts and run; the rest has
/// defaults. [`Batch`](super::Batch) counts its passes and keeps what it found.
///
/// ```
/// use serde::Serialize;
/// use tox_robust::{Ball, Batch, Evasion, Facts, Found, Oracle, Points};
///
/// /// Asks about one image, the darkest that the ball allows.
/// #[derive(Clone, Debug, PartialEq, Serialize)]
/// struct Darken;
///
/// impl Evasion for Darken {
///     fn facts(&self) -> Facts {
///         Facts { kind: "darken", ..Facts::default() }
///     }
///     fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, _seed: u64) -> Found {
///         let mut batch = Batch::new(oracle, points, ball);
///         let dark = |i| {
///             let mut x = vec![0.0; oracle.size()];
///             ball.project(&mut x, batch.clean(i));
///             (i, x)
///         };
///         let images: Vec<_> = batch.open().into_iter().map(dark).collect();
///         batch.logits(images.iter().map(|(i, x)| (*i, x.as_slice())));
///         batch.finish()
///     }
/// }
///
/// let attacks = vec![Darken.into(), "pgd20".parse::<tox_robust::Attack>()?];
/// assert_eq!(attacks[0].name(), "darken");
/// # Ok::<(), tox_robust::attacks::NameError>(())
/// ```
pub trait Evasion: Settings {
    /// What others may ask of it.
    fn facts(&self) -> Facts;

    /// Attacks points, of which the oracle should classify every one as labelled; one that it does
    /// not is fooled at its first pass. Expects settings that [`Attack::check`] accepts.
    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found;

    /// The short name, as in tables: the kind, and the settings that tell it from others of its kind.
    fn name(&self) -> String {
        self.facts().kind.to_owned()
    }

    /// Whether every setting is in its range. Of a registered attack the attributes of its fields say so.
    ///
    /// # Errors
    /// The first that is not.
    fn check_settings(&self) -> Result<(), OutOfRange> {
        Ok(())
    }

    /// Cuts it down to one run of about `tries` passes, for checks of its code.
    fn shorten(&mut self, _tries: usize) {}

    /// Whether it should fool at least as many images as `other`.
    fn dominates(&self, _other: &dyn Evasion) -> bool {
        false
    }

    /// The attacks of an ensemble in their order, on images of `classes` classes, each of which sees what the ones
    /// before it left correct; none if it is no ensemble.
    fn members(&self, _classes: usize) -> Vec<Attack> {
        Vec::new()
    }

    /// What is run in place of what it is by its name, where `classes` classes are too few for that.
    fn note(&self, _classes: usize) -> Option<&'static str> {
        None
    }
}

impl dyn Evasion {
    /// As an attack of one type.
    pub fn downcast_ref<E: Evasion>(&self) -> Option<&E> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

/// How an attack is written, for its line in the registry ([`KINDS`](super::KINDS)). Its doc comment
/// is the description in the schema.
pub trait Registered: Evasion + Default + Serialize + DeserializeOwned + JsonSchema {
    /// Its word, the `kind` of its [`Facts`].
    const KIND: &'static str;

    /// Examples of its short name.
    const NAMES: &'static [&'static str] = &[Self::KIND];

    /// What may vary in the last of them.
    const VARIES: Option<&'static str> = None;

    /// Reads a short name in lower case; `None` if it is another attack's.
    fn parse(name: &str) -> Option<Self> {
        (name == Self::KIND).then(Self::default)
    }
}

/// Settings behind `dyn Evasion`: copied, compared, written. Every suitable type has them.
pub trait Settings: Any + Debug + Send + Sync {
    /// A copy.
    fn boxed(&self) -> Box<dyn Evasion>;

    /// Whether `other` is of the same type and equal.
    fn equals(&self, other: &dyn Evasion) -> bool;

    /// Its keys and their values.
    ///
    /// # Errors
    /// Settings that are no table of JSON.
    fn keys(&self) -> Result<Keys, serde_json::Error>;
}

impl<E: Evasion + Clone + PartialEq + Serialize> Settings for E {
    fn boxed(&self) -> Box<dyn Evasion> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Evasion) -> bool {
        other.downcast_ref::<E>() == Some(self)
    }

    fn keys(&self) -> Result<Keys, serde_json::Error> {
        Keys::of(self)
    }
}
