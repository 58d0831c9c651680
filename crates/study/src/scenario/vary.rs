//! Reading axes such as `link.meter.loss=0%..30%:5%`, for `--vary` and `[sweep]` alike.

use serde_json::Value;

use super::axis::{Axis, AxisValue, Unit};
use super::diagnostic::{Diagnostics, nearest_name};
use super::file::SweepTable;
use super::problem::Problem;
use super::schema::SCHEMA;
use super::value::UNIT_KEYWORD;
use qoslab_core::base::units::{
    Quantity, base_units_literal, format_count, parse_base_units, trim_zeros,
};

/// The greatest number of values of one axis.
const MAX_VALUES: usize = 1_000;

/// The greatest number of cells of one sweep.
pub(super) const MAX_CELLS: usize = 10_000;

/// A plain number is read to a millionth.
const PLAIN_SCALE: u64 = 1_000_000;

impl Axis {
    /// Reads `PATH=VALUES`. Values are a list `1m,5m,20m`, in which each item may be a range with
    /// a step `0%..30%:5%`, or with a factor `16B..4KiB:x4`; both ends belong to it.
    ///
    /// # Errors
    /// If the path names no numeric field, or the values are none, too many, or one comes twice.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let Some((path, values)) = text.split_once('=') else {
            return Err(Problem::new("names no values", "there is no `=`")
                .help("write it as in \"link.meter.loss=0%..30%:5%\""));
        };
        Self::new(path.trim(), values)
    }

    /// The axis of a path with its values as [`Axis::parse`] reads them.
    ///
    /// # Errors
    /// As of [`Axis::parse`].
    pub fn new(path: &str, values: &str) -> Result<Self, Problem> {
        let unit = unit_at_path(path)?;
        let mut numbers: Vec<u64> = Vec::new();
        for item in values.split(',').map(str::trim) {
            for number in item_values(item, unit)? {
                if numbers.contains(&number) {
                    let label = format!("{} stands there twice", format_number(number, unit));
                    return Err(Problem::new("has a value twice", label));
                }
                numbers.push(number);
            }
            if numbers.len() > MAX_VALUES {
                return Err(too_many_values());
            }
        }
        let values = numbers.into_iter().map(|number| axis_value(number, unit)).collect();
        Ok(Self { path: path.to_owned(), unit, values })
    }
}

/// The axes of a file; what is wrong with them goes to `errors`.
pub(super) fn read_axes(table: &SweepTable, errors: &mut Diagnostics) -> Vec<Axis> {
    let mut axes = Vec::new();
    for given in &table.vary {
        let axis = Axis::parse(&given.value).and_then(|axis| {
            axes.push(axis);
            check_grid(&axes)
        });
        if let Err(problem) = axis {
            let title = format!("the axis {}", problem.message);
            errors.error(&given.span, title, problem.label).help(problem.help);
        }
    }
    axes
}

/// Every combination of the axes' values, the last axis fastest; one empty combination without
/// axes.
///
/// # Errors
/// If there are too many, or an axis stands there twice.
pub fn combine_axes(axes: &[Axis]) -> Result<Vec<Vec<AxisValue>>, Problem> {
    check_grid(axes)?;
    let mut all: Vec<Vec<AxisValue>> = vec![Vec::new()];
    for axis in axes {
        let longer = |cell: &Vec<AxisValue>| -> Vec<Vec<AxisValue>> {
            axis.values
                .iter()
                .map(|value| [cell.as_slice(), std::slice::from_ref(value)].concat())
                .collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    Ok(all)
}

/// Whether the axes differ from one another and have not too many cells.
fn check_grid(axes: &[Axis]) -> Result<(), Problem> {
    for (nth, axis) in axes.iter().enumerate() {
        if axes[..nth].iter().any(|other| other.path == axis.path) {
            let label = format!("`{}` is varied twice", axis.path);
            return Err(Problem::new("has one axis twice", label).help("name all its values once"));
        }
    }
    let cells = axes.iter().fold(1_usize, |cells, axis| cells.saturating_mul(axis.values.len()));
    if cells > MAX_CELLS {
        return Err(too_many_cells(cells));
    }
    Ok(())
}

pub(super) fn too_many_cells(cells: usize) -> Problem {
    let (cells, most) = (format_count(cells as u64), format_count(MAX_CELLS as u64));
    let label = format!("these are {cells} cells, and at most {most} are possible");
    Problem::new("is too large", label).help("choose fewer values")
}

/// The value of a number in smallest units.
#[expect(clippy::cast_precision_loss, reason = "for charts and columns; the text is exact")]
fn axis_value(number: u64, unit: Unit) -> AxisValue {
    let scale = match unit {
        Unit::Plain | Unit::Percent | Unit::Joules => 1e6,
        Unit::Seconds | Unit::Watts => 1e9,
        Unit::Bytes | Unit::BitsPerSecond => 1.0,
    };
    AxisValue { text: format_number(number, unit), number: number as f64 / scale }
}

/// The values of `5%` or `0%..30%:5%`, in smallest units.
fn item_values(item: &str, unit: Unit) -> Result<Vec<u64>, Problem> {
    let Some((first, rest)) = item.split_once("..") else {
        return parse_number(item, unit).map(|number| vec![number]);
    };
    let Some((last, step)) = rest.split_once(':') else {
        return Err(Problem::new("has a range without a step", format!("`{item}` has no step"))
            .help(format!(
                "write it as in \"{item}:STEP\", or with a factor as in \"{item}:x2\""
            )));
    };
    let (first, last) = (parse_number(first, unit)?, parse_number(last, unit)?);
    if first > last {
        return Err(Problem::new("has an empty range", format!("`{item}` runs backwards")));
    }
    let next: Box<dyn Fn(u64) -> u64> = match step.trim().strip_prefix('x') {
        Some(factor) => match factor.parse::<u64>() {
            Ok(factor) if factor >= 2 && first > 0 => {
                Box::new(move |number| number.saturating_mul(factor))
            }
            _ => {
                let label = format!("`{item}` would never end");
                let help = "a factor is a whole number from 2, and the range starts above 0";
                return Err(Problem::new("has an endless range", label).help(help));
            }
        },
        None => match parse_number(step, unit)? {
            0 => {
                let label = format!("the step of `{item}` is 0");
                return Err(Problem::new("has an endless range", label));
            }
            step => Box::new(move |number| number.saturating_add(step)),
        },
    };
    let mut numbers = vec![first];
    while let Some(number) = numbers.last().map(|number| next(*number)).filter(|n| *n <= last) {
        if numbers.len() >= MAX_VALUES {
            return Err(too_many_values());
        }
        numbers.push(number);
    }
    Ok(numbers)
}

fn too_many_values() -> Problem {
    let label = format!("more than {} values", format_count(MAX_VALUES as u64));
    Problem::new("has too many values", label).help("choose a larger step")
}

fn parse_number(text: &str, unit: Unit) -> Result<u64, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::new("has no values", "a value is missing"));
    }
    if let Some(quantity) = quantity(unit) {
        return parse_base_units(text, quantity).map_err(|error| Problem::from_unit_error(&error));
    }
    // A plain number is a percentage without its sign: the same digits, to a millionth.
    parse_base_units(&format!("{text}%"), Quantity::Percent).map_err(|_| {
        Problem::new("has a value that is no number", format!("`{text}` is no plain number"))
    })
}

fn format_number(number: u64, unit: Unit) -> String {
    match quantity(unit) {
        Some(quantity) => base_units_literal(number, quantity),
        None if number.is_multiple_of(PLAIN_SCALE) => (number / PLAIN_SCALE).to_string(),
        None => {
            let text = format!("{}.{:06}", number / PLAIN_SCALE, number % PLAIN_SCALE);
            trim_zeros(&text).to_owned()
        }
    }
}

const fn quantity(unit: Unit) -> Option<Quantity> {
    match unit {
        Unit::Plain => None,
        Unit::Percent => Some(Quantity::Percent),
        Unit::Seconds => Some(Quantity::Span),
        Unit::Bytes => Some(Quantity::Bytes),
        Unit::BitsPerSecond => Some(Quantity::Rate),
        Unit::Watts => Some(Quantity::Power),
        Unit::Joules => Some(Quantity::Energy),
    }
}

/// What the number at a path counts, as the schema of the file says.
fn unit_at_path(path: &str) -> Result<Unit, Problem> {
    let schema = SCHEMA.as_value();
    let mut at = vec![schema];
    let mut parts = path.split('.').enumerate();
    while let Some((depth, part)) = parts.next() {
        let fields: Vec<(&str, &Value)> =
            at.iter().flat_map(|one| schema_fields(one, schema)).collect();
        let found: Vec<_> = fields.iter().filter(|(name, _)| *name == part).collect();
        if found.is_empty() && part.parse::<usize>().is_ok() {
            continue;
        }
        if found.is_empty() {
            let mut known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            known.dedup();
            let help = nearest_name(part, &known).map_or_else(
                || format!("known here: {}", known.join(", ")),
                |one| format!("did you mean `{one}`?"),
            );
            let label = format!("there is no field `{part}`");
            return Err(Problem::new("names no field", label).help(help));
        }
        at = found.into_iter().map(|(_, value)| *value).collect();
        // After it comes a name; the scenario itself decides whether it is there.
        if depth == 0 && matches!(part, "client" | "link") {
            parts.next();
        }
    }
    at.iter().find_map(|one| schema_unit(one, schema)).ok_or_else(|| {
        Problem::new("is no number", format!("`{path}` cannot be counted up"))
            .help("only numbers can be varied; --set sets anything")
    })
}

/// The fields of what a schema describes, through references, lists and alternatives.
fn schema_fields<'s>(one: &'s Value, schema: &'s Value) -> Vec<(&'s str, &'s Value)> {
    let mut all = Vec::new();
    for one in alternatives(one, schema) {
        if let Some(properties) = one["properties"].as_object() {
            all.extend(properties.iter().map(|(name, value)| (name.as_str(), value)));
        }
    }
    all
}

fn schema_unit(one: &Value, schema: &Value) -> Option<Unit> {
    alternatives(one, schema).into_iter().find_map(|one| {
        // What may be left out is of its type or null.
        let types =
            one["type"].as_array().map_or(std::slice::from_ref(&one["type"]), Vec::as_slice);
        let is_plain = types.iter().any(|it| it == "integer" || it == "number");
        let label = if is_plain { Unit::Plain.name() } else { one[UNIT_KEYWORD].as_str()? };
        Unit::ALL.into_iter().find(|unit| unit.name() == label)
    })
}

/// Everything that a schema allows: itself, what it refers to, its alternatives, its list's items.
fn alternatives<'s>(one: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut all = vec![one];
    if let Some(name) = one["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        all.extend(alternatives(&schema["$defs"][name], schema));
    }
    for list in ["anyOf", "oneOf", "allOf"].iter().filter_map(|word| one[*word].as_array()) {
        all.extend(list.iter().flat_map(|one| alternatives(one, schema)));
    }
    if one["items"].is_object() {
        all.extend(alternatives(&one["items"], schema));
    }
    all
}
