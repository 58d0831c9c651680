//! Independent losses of a scenario, by the fields that set them.

use super::diagnostic::Diagnostics;
use super::links::client_end;
use super::{Scenario, link, setting};
use qoslab_core::network::LossModel;

/// A field that sets which share of a link's packets is lost, each independently.
#[derive(Clone, Debug, PartialEq)]
pub struct LossField {
    /// The field: `link.sensor.loss`, or `link.sensor.up.loss` where a direction has its own.
    pub path: String,
    /// The share, from 0 to 1.
    pub share: f64,
}

impl Scenario {
    /// The independent losses of all links, in the order of the file; links without any loss
    /// too, but not what loses in bursts.
    #[must_use]
    pub fn loss_fields(&self) -> Vec<LossField> {
        let mut ignored = Diagnostics::new(&self.path, &self.source);
        let mut all: Vec<LossField> = Vec::new();
        for link in self.file.link.iter().map(|link| &link.value) {
            let Some(name) = client_end(&link.between.value) else { continue };
            let short = setting::base_name(name);
            let name = if short.is_empty() { name } else { &short };
            let settings = link::link_settings(link, &mut ignored);
            for (way, own, direction) in
                [("up.", &link.up, &settings.up), ("down.", &link.down, &settings.down)]
            {
                let LossModel::Random(chance) = direction.loss else { continue };
                let is_own = own.as_ref().is_some_and(|own| own.value.loss.is_some());
                let path = format!("link.{name}.{}loss", if is_own { way } else { "" });
                if all.iter().all(|known| known.path != path) {
                    all.push(LossField { path, share: chance.share() });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::SMALL;

    #[test]
    fn each_loss_has_the_path_that_sets_it() {
        let links = r#"
[[link]]
between = ["*", "broker"]
transport = "datagram"
delay = "1ms"
loss = "4%"
up = { loss = "1%" }
"#;
        let (start, _) = SMALL.split_once("[[link]]").unwrap();
        let scenario = Scenario::parse("losses.toml", &format!("{start}{links}")).unwrap();
        let losses = scenario.loss_fields();
        let found: Vec<_> =
            losses.iter().map(|it| (it.path.as_str(), (it.share * 1e6).round())).collect();
        assert_eq!(found, [("link.*.up.loss", 10_000.0), ("link.*.loss", 40_000.0)]);
        for loss in losses {
            let setting =
                crate::scenario::axis::Setting { path: loss.path.clone(), value: "9%".to_owned() };
            let other = scenario.with_settings(&[setting]).unwrap().loss_fields();
            let found = other.iter().find(|it| it.path == loss.path).unwrap();
            assert!((found.share - 0.09).abs() < 1e-8);
        }
    }
}
