//! Scenario files and the trials they stand for.
//!
//! A file is read ([`Scenario::load`]), checked as a whole so that all errors are reported at once,
//! each at its place ([`diagnostic::Diagnostics`]), and expanded into the [`Point`]s of its axes. A
//! point and a seed make a [`Trial`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qoslab_core::base::QoS;
use qoslab_sim::{Setup, Trial};

pub use self::axis::{Axis, AxisValue, Setting, Unit};
#[cfg(feature = "studies")]
pub use self::design::parse_design;
pub use self::diagnostic::{Diagnostic, Diagnostics};
pub use self::endpoint::EndpointGroup;
pub use self::estimate::{Estimate, SizeLimitError, SizeLimits};
pub use self::expect::{
    Bound, BreakTarget, Comparison, Expectations, ExpectedBreak, ExpectedRule, KnownBreak, Metric,
    Need, Statistic,
};
pub use self::losses::LossField;
pub use self::price::BytePrice;
pub use self::problem::Problem;
pub use self::profiles::to_markdown as profiles_page;
#[cfg(feature = "studies")]
pub(crate) use self::satisfiable::{can_be_met, contradict};
#[cfg(feature = "studies")]
pub use self::schema::schema;
pub use self::swarm::Swarm;
#[cfg(feature = "studies")]
pub use self::vary::combine_axes;

mod axis;
mod check;
mod check_client;
mod check_needs;
mod client;
mod defaults;
#[cfg(feature = "studies")]
mod design;
mod diagnostic;
mod endpoint;
mod estimate;
mod expect;
mod fault;
mod file;
mod from_toml;
mod keywords;
pub mod known_bugs;
mod link;
mod links;
mod losses;
mod need_parser;
mod nodes;
mod points;
mod price;
mod problem;
mod profiles;
mod quantities;
mod radio;
mod reachability;
mod read;
mod satisfiable;
mod schedule_table;
#[cfg(feature = "studies")]
mod schema;
mod setting;
mod show;
mod socket;
mod subscribers;
mod swarm;
mod transport;
mod trial_file;
mod value;
#[cfg(feature = "studies")]
mod vary;

/// The version of the model: it changes when draws or semantics do, and with it every trial's
/// name, so that results of different models are never mistaken for each other.
pub const MODEL_VERSION: u32 = 5;

/// A scenario file that was read and found right.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in the author's words.
    pub about: String,
    /// Where it was read from, as the user wrote it.
    pub path: String,
    /// The file's text.
    pub source: String,
    /// Fields that were set to other values than the file's, in order.
    pub settings: Vec<Setting>,
    /// The points of its axes, in a fixed order: published QoS first, then granted QoS.
    pub points: Vec<Point>,
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds, from the first.
    pub seed_count: u32,
    /// What is expected.
    pub expect: Expectations,
    /// What a sweep varies, as `[sweep]` says.
    pub axes: Vec<Axis>,
    /// The currency of its prices; `None` if no link has a price.
    pub currency: Option<String>,
    /// The broker, and each client or fleet, in the order of the file.
    pub groups: Vec<EndpointGroup>,
    /// What is right but surprising: no errors, only warnings.
    pub warnings: Diagnostics,
    /// What was read, with its settings, profiles and defaults.
    file: Arc<file::ScenarioFile>,
}

/// One combination of the axes' values.
#[derive(Clone, Debug)]
pub struct Point {
    /// The published QoS, where a list made it an axis or all streams share one.
    pub published: Option<QoS>,
    /// The QoS asked for by subscribers, where a list made it an axis.
    pub granted: Option<QoS>,
    /// What every seed of this point runs, without what the seed makes of `swarm`.
    pub setup: Arc<Setup>,
    /// Faults that each seed switches on or off.
    pub swarm: Option<Arc<Swarm>>,
    /// A hash of the setup and the model version, from which trials take their names.
    pub content_hash: u64,
}

/// The scenario files at a path: itself, or all `.toml` files in and below a folder, by name.
///
/// # Errors
/// If a folder cannot be read or has no scenario in it. A single file is not opened.
pub fn find_scenarios(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    read::find_scenario_files(path)
}

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        Self::load_with_settings(path, &[])
    }

    /// Reads and checks a file with some of its fields set to other values.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place, in the file or in a setting.
    pub fn load_with_settings(path: &Path, settings: &[Setting]) -> Result<Self, Diagnostics> {
        let text = read::read_text(path)?;
        Self::parse_with_settings(&path.display().to_string(), &text, settings)
    }

    /// Checks the text of a file; `path` is only shown.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub fn parse(path: &str, text: &str) -> Result<Self, Diagnostics> {
        Self::parse_with_settings(path, text, &[])
    }

    /// Checks the text of a file with some of its fields set to other values.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place, in the file or in a setting.
    pub fn parse_with_settings(
        path: &str,
        text: &str,
        settings: &[Setting],
    ) -> Result<Self, Diagnostics> {
        let mut errors = Diagnostics::new(path, text);
        let Some(mut file) = read::read_file(text, settings, &mut errors) else {
            return Err(errors.sorted());
        };
        defaults::fill_defaults(&mut file, &mut errors);
        check::check_header(&file, &mut errors);
        let nodes = nodes::expand_nodes(&file, &mut errors);
        let mut points = points::expand_points(&file, &nodes, &mut errors);
        let setups: Vec<_> = points.iter().map(Point::worst_case).collect();
        let setups: Vec<_> = setups.iter().map(|setup| &**setup).collect();
        let expect = check::read_expectations(&file, &nodes, &setups, &mut errors);
        for point in &mut points {
            point.keep_apart(&expect.needs);
        }
        #[cfg(feature = "studies")]
        let axes = vary::read_axes(&file.sweep, &mut errors);
        #[cfg(not(feature = "studies"))]
        let axes = Vec::new();
        let currency = price::currency(&file, &mut errors);
        let warnings = errors.sorted();
        if !warnings.errors.is_empty() {
            return Err(warnings);
        }
        Ok(Self {
            groups: endpoint::endpoint_groups(&file),
            name: file.name.value.clone(),
            about: file.about.clone(),
            path: path.to_owned(),
            source: text.to_owned(),
            settings: settings.to_vec(),
            points,
            first_seed: file.seeds.from.0.into(),
            seed_count: file.seeds.count.0,
            expect,
            axes,
            currency,
            warnings,
            file: Arc::new(file),
        })
    }

    /// The same file with further settings, on top of those that it has.
    ///
    /// # Errors
    /// All that is wrong with it then.
    pub fn with_settings(&self, settings: &[Setting]) -> Result<Self, Diagnostics> {
        let all = [self.settings.as_slice(), settings].concat();
        Self::parse_with_settings(&self.path, &self.source, &all)
    }

    /// The settings that give a price to the link of this name, or to all links with a publisher.
    ///
    /// # Errors
    /// If no link has that name.
    pub fn price_settings(&self, link: Option<&str>, price: &str) -> Result<Vec<Setting>, Problem> {
        let setting =
            |link: &str| Setting { path: format!("link.{link}.price"), value: price.to_owned() };
        let Some(link) = link else {
            return Ok(self.publishing_links().iter().map(|link| setting(link)).collect());
        };
        price::check_link(&self.file, link)?;
        Ok(vec![setting(link)])
    }

    /// The names of the links that have a publisher, as a setting's path takes them.
    #[must_use]
    pub fn publishing_links(&self) -> Vec<String> {
        price::publishing_links(&self.file)
    }

    /// The names of the clients that publish, as a setting's path takes them.
    #[must_use]
    pub fn publishing_clients(&self) -> Vec<String> {
        let publishers = self.file.client.iter().filter(|client| !client.value.publish.is_empty());
        publishers.map(|client| client.value.name.value.clone()).collect()
    }

    /// The settings by which all workloads publish with QoS 0, 1 and 2, one point each. None if
    /// the scenario has such an axis already.
    #[must_use]
    pub fn all_qos_settings(&self) -> Vec<Setting> {
        let publishers = self.file.client.iter().filter(|client| !client.value.publish.is_empty());
        let levels = publishers.clone().flat_map(|client| &client.value.publish);
        if levels.into_iter().any(|one| matches!(one.value.qos.value, value::QosSetting::Axis(_))) {
            return Vec::new();
        }
        let setting = |client: &value::Located<client::ClientTable>| Setting {
            path: format!("client.{}.publish.qos", client.value.name.value),
            value: "[0, 1, 2]".to_owned(),
        };
        publishers.map(setting).collect()
    }

    /// Whether the clients and topics that a need names exist, and have messages.
    ///
    /// # Errors
    /// Says which do not, and which name is the nearest.
    pub fn check_scope(&self, need: &Need) -> Result<(), Problem> {
        let setups: Vec<_> = self.points.iter().map(Point::worst_case).collect();
        let setups: Vec<_> = setups.iter().map(|setup| &**setup).collect();
        check_needs::check_scope(need, &setups)
    }

    /// The file as TOML with every assumed default written out: valid, and of the same meaning.
    #[must_use]
    pub fn to_full_toml(&self) -> String {
        show::to_toml(&self.file)
    }
}

impl Point {
    /// The trial of one seed.
    #[must_use]
    pub fn trial(&self, seed: u64) -> Trial {
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&self.content_hash.to_le_bytes(), seed);
        let name = format!("{:08x}", hash >> 32);
        let setup = match &self.swarm {
            Some(swarm) => Arc::new(swarm.for_seed(&self.setup, seed)),
            None => self.setup.clone(),
        };
        Trial { setup, seed, name }
    }

    /// Has the metrics of the clients and topics kept apart that needs name.
    pub(crate) fn keep_apart(&mut self, needs: &[Need]) {
        for need in needs.iter().filter(|need| !need.scope.is_everything()) {
            if !self.setup.scopes.contains(&need.scope) {
                Arc::make_mut(&mut self.setup).scopes.push(need.scope.clone());
            }
        }
    }

    /// The setup with all that a seed could switch on, as bad as it could be.
    fn worst_case(&self) -> Arc<Setup> {
        match &self.swarm {
            Some(swarm) => Arc::new(swarm.worst_case(&self.setup)),
            None => self.setup.clone(),
        }
    }

    /// What distinguishes it from the scenario's other points: `qos 1`, `qos 2, granted 1`.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.published, self.granted) {
            (Some(published), Some(granted)) => format!("qos {published}, granted {granted}"),
            (Some(published), None) => format!("qos {published}"),
            (None, Some(granted)) => format!("mixed qos, granted {granted}"),
            (None, None) => "mixed qos".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
