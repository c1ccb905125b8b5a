//! Tables of columns with a type each, from CSV files (plain or gzip).
//!
//! The types are inferred from the first rows unless given. A row that does not fit (another number of fields, a word where
//! numbers are expected, damaged text) is an error with its line and column, or is skipped and reported, as the options say.

use std::io::Read;
use std::path::Path;

use anygrad_core::{Error, Result};

use super::read;

/// How a CSV file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    /// Whether the first row holds the columns' names; else they are `column 1`, `column 2`, ..; true.
    pub header: bool,
    /// The byte between fields; a comma. With a blank, several count as one and those at a line's ends do not count.
    pub delimiter: u8,
    /// Fields that mean that a value is missing, after trimming; empty, `NA`, `N/A`, `NaN`, `nan`, `null`, `?`.
    pub missing: Vec<String>,
    /// What becomes of rows that do not fit; [`BadRows::Error`].
    pub bad_rows: BadRows,
    /// Types of some columns by name; others are inferred.
    pub types: Vec<(String, Kind)>,
    /// How many rows types are inferred from; 1,000.
    pub inferred_from: usize,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            header: true,
            delimiter: b',',
            missing: ["", "NA", "N/A", "NaN", "nan", "null", "?"].map(String::from).to_vec(),
            bad_rows: BadRows::Error,
            types: Vec::new(),
            inferred_from: 1000,
        }
    }
}

/// What becomes of rows that do not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// The first one is an error.
    #[default]
    Error,
    /// They are left out and listed in [`Table::skipped`].
    Skip,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` and `false`, in any case.
    Bool,
    /// Whole numbers.
    Integer,
    /// Any numbers.
    Float,
    /// Words: each distinct one is a category.
    Category,
}

/// The values of a column; `None` (NaN for floats) where one is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// True or false.
    Bool(Vec<Option<bool>>),
    /// Whole numbers.
    Integer(Vec<Option<i64>>),
    /// Any numbers; NaN where missing.
    Float(Vec<f64>),
    /// Words, as they are in the file.
    Category(Vec<Option<String>>),
}

impl Values {
    fn new(kind: Kind) -> Values {
        match kind {
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Category => Values::Category(Vec::new()),
        }
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Values::Bool(_) => Kind::Bool,
            Values::Integer(_) => Kind::Integer,
            Values::Float(_) => Kind::Float,
            Values::Category(_) => Kind::Category,
        }
    }

    /// Numbers (NaN where missing, 0 and 1 for false and true); nothing for categories.
    #[must_use]
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Values::Bool(values) => {
                Some(values.iter().map(|x| x.map_or(f64::NAN, |x| f64::from(u8::from(x)))).collect())
            }
            Values::Integer(values) => Some(values.iter().map(|x| x.map_or(f64::NAN, |x| x as f64)).collect()),
            Values::Float(values) => Some(values.clone()),
            Values::Category(_) => None,
        }
    }

    /// Values as words, `None` where missing.
    #[must_use]
    pub fn words(&self) -> Vec<Option<String>> {
        match self {
            Values::Bool(values) => values.iter().map(|x| x.map(|x| x.to_string())).collect(),
            Values::Integer(values) => values.iter().map(|x| x.map(|x| x.to_string())).collect(),
            Values::Float(values) => values.iter().map(|x| (!x.is_nan()).then(|| x.to_string())).collect(),
            Values::Category(values) => values.clone(),
        }
    }

    fn select(&self, rows: &[u32]) -> Values {
        fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize].clone()).collect()
        }
        match self {
            Values::Bool(values) => Values::Bool(pick(values, rows)),
            Values::Integer(values) => Values::Integer(pick(values, rows)),
            Values::Float(values) => Values::Float(pick(values, rows)),
            Values::Category(values) => Values::Category(pick(values, rows)),
        }
    }

    /// Adds a field (trimmed, not missing) or a missing value; false if it does not fit. Whole numbers become floats
    /// when a fraction comes.
    fn push(&mut self, field: Option<&str>) -> bool {
        if let (Values::Integer(values), Some(text)) = (&*self, field)
            && text.parse::<i64>().is_err()
            && text.parse::<f64>().is_ok()
        {
            *self = Values::Float(values.iter().map(|x| x.map_or(f64::NAN, |x| x as f64)).collect());
        }
        fn add<T>(values: &mut Vec<Option<T>>, field: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> bool {
            let value = field.map(parse);
            let fits = !matches!(value, Some(None));
            if fits {
                values.push(value.flatten());
            }
            fits
        }
        match self {
            Values::Bool(values) => add(values, field, truth),
            Values::Integer(values) => add(values, field, |text| text.parse().ok()),
            Values::Category(values) => add(values, field, |text| Some(text.to_string())),
            Values::Float(values) => {
                let value = field.map_or(Some(f64::NAN), |text| text.parse().ok());
                values.extend(value);
                value.is_some()
            }
        }
    }

    fn pop(&mut self) {
        match self {
            Values::Bool(values) => drop(values.pop()),
            Values::Integer(values) => drop(values.pop()),
            Values::Float(values) => drop(values.pop()),
            Values::Category(values) => drop(values.pop()),
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    [("true", true), ("false", false)].into_iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, x)| x)
}

/// The narrowest type that holds all fields; categories if there are none.
fn infer<'a>(mut fields: impl Iterator<Item = &'a str> + Clone) -> Kind {
    if fields.clone().next().is_none() {
        return Kind::Category;
    }
    if fields.clone().all(|field| truth(field).is_some()) {
        return Kind::Bool;
    }
    if fields.clone().all(|field| field.parse::<i64>().is_ok()) {
        return Kind::Integer;
    }
    if fields.all(|field| field.parse::<f64>().is_ok()) { Kind::Float } else { Kind::Category }
}

/// A column: its name and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// From the header, or `column 1`, `column 2`, ..
    pub name: String,
    /// One per row.
    pub values: Values,
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Columns of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    rows: usize,
    /// Rows that were left out.
    pub skipped: Vec<BadRow>,
}

impl Table {
    /// Reads a CSV file, plain or gzip.
    ///
    /// # Errors
    /// If it is missing or damaged, has no rows, a row does not fit (and is not skipped), or an option names a column that
    /// is not there.
    pub fn open(path: &Path, options: &TableOptions) -> Result<Table> {
        Table::parse(&path.display().to_string(), read::open(path)?, options)
    }

    /// Reads CSV from a stream; `name` is for messages.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn parse(name: &str, source: impl Read, options: &TableOptions) -> Result<Table> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(options.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(source);
        let mut parser = Parser { name, options, names: Vec::new(), columns: Vec::new(), skipped: Vec::new(), rows: 0 };
        let mut waiting = Vec::new();
        let mut record = csv::ByteRecord::new();
        let mut last = 0;
        while reader.read_byte_record(&mut record).map_err(|error| broken(name, last, error))? {
            let line = record.position().map_or(0, csv::Position::line);
            last = line;
            let fields = match parser.fields(&record) {
                Ok(fields) => fields,
                Err(reason) => {
                    parser.bad(line, reason)?;
                    continue;
                }
            };
            if parser.names.is_empty() {
                parser.name_columns(&fields)?;
                if options.header {
                    continue;
                }
            }
            if parser.columns.is_empty() {
                waiting.push((line, fields));
                if waiting.len() >= options.inferred_from.max(1) {
                    parser.start(&mut waiting)?;
                }
            } else {
                parser.add(line, &fields)?;
            }
        }
        if parser.columns.is_empty() {
            parser.start(&mut waiting)?;
        }
        if parser.rows == 0 {
            return Err(Error::data(name, format!("it has no rows that fit ({} were left out)", parser.skipped.len())));
        }
        Table::new(name, parser.columns, parser.skipped)
    }

    /// A table of these columns; `name` is for messages.
    ///
    /// # Errors
    /// If their lengths differ or a name comes twice.
    pub fn new(name: &str, columns: Vec<Column>, skipped: Vec<BadRow>) -> Result<Table> {
        let length = |column: &Column| column.values.words().len();
        let rows = columns.first().map_or(0, length);
        for (i, column) in columns.iter().enumerate() {
            if length(column) != rows {
                return Err(Error::data(name, format!("column '{}' has another length than the first", column.name)));
            }
            if columns[..i].iter().any(|other| other.name == column.name) {
                return Err(Error::data(name, format!("two columns are named '{}'", column.name)));
            }
        }
        Ok(Table { name: name.to_string(), columns, rows, skipped })
    }

    /// Where it came from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All columns, in the file's order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            Error::data(&self.name, format!("there is no column '{name}'; there are {}", names.join(", ")))
        })
    }

    /// The numbers of a column, NaN where missing.
    ///
    /// # Errors
    /// If there is no such column, or it holds words.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let words = || Error::data(&self.name, format!("column '{name}' holds words; numbers are expected"));
        self.column(name)?.values.numbers().ok_or_else(words)
    }

    /// The values of a column as text, empty where missing.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        Ok(self.column(name)?.values.words().into_iter().map(Option::unwrap_or_default).collect())
    }

    /// All columns but these.
    ///
    /// # Errors
    /// If there is none of such a name.
    pub fn without(&self, names: &[&str]) -> Result<Table> {
        names.iter().try_for_each(|name| self.column(name).map(|_| ()))?;
        let columns = self.columns.iter().filter(|column| !names.contains(&column.name.as_str())).cloned().collect();
        Ok(Table { columns, ..self.clone() })
    }

    /// The rows with these numbers.
    ///
    /// # Errors
    /// If a number is too large.
    pub fn select(&self, rows: &[u32]) -> Result<Table> {
        super::check_rows(rows, self.rows)?;
        let column = |column: &Column| Column { name: column.name.clone(), values: column.values.select(rows) };
        let columns = self.columns.iter().map(column).collect();
        Ok(Table { name: self.name.clone(), columns, rows: rows.len(), skipped: Vec::new() })
    }
}

fn broken(name: &str, last: u64, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => read::broken(name, &error),
        other => Error::data(format!("{name}, after line {last}"), format!("{other:?}")),
    }
}

struct Parser<'a> {
    name: &'a str,
    options: &'a TableOptions,
    names: Vec<String>,
    columns: Vec<Column>,
    skipped: Vec<BadRow>,
    rows: usize,
}

impl Parser<'_> {
    fn fields(&self, record: &csv::ByteRecord) -> std::result::Result<Vec<String>, String> {
        let text = |(at, field): (usize, &[u8])| match std::str::from_utf8(field) {
            Ok(text) => Ok(text.trim_start_matches('\u{feff}').trim().to_string()),
            Err(_) => Err(format!("field {} is not UTF-8 text", at + 1)),
        };
        let fields = record.iter().enumerate().map(text).collect::<std::result::Result<Vec<String>, String>>()?;
        Ok(match self.options.delimiter {
            b' ' => fields.into_iter().filter(|field| !field.is_empty()).collect(),
            _ => fields,
        })
    }

    fn name_columns(&mut self, fields: &[String]) -> Result<()> {
        self.names = match self.options.header {
            true => fields.to_vec(),
            false => (1..=fields.len()).map(|number| format!("column {number}")).collect(),
        };
        match self.options.types.iter().find(|(name, _)| !self.names.contains(name)) {
            Some((name, _)) => {
                let names = self.names.join(", ");
                Err(Error::data(self.name, format!("a type is given for column '{name}'; there are {names}")))
            }
            None => Ok(()),
        }
    }

    fn value<'f>(&self, field: &'f str) -> Option<&'f str> {
        (!self.options.missing.iter().any(|missing| missing == field)).then_some(field)
    }

    /// Infers the types from the rows that were read so far, and adds those.
    fn start(&mut self, waiting: &mut Vec<(u64, Vec<String>)>) -> Result<()> {
        let waiting = std::mem::take(waiting);
        for (at, name) in self.names.clone().into_iter().enumerate() {
            let rows = waiting.iter().filter(|(_, fields)| fields.len() == self.names.len());
            let values = rows.filter_map(|(_, fields)| self.value(&fields[at]));
            let given = self.options.types.iter().find(|(given, _)| *given == name).map(|(_, kind)| *kind);
            let kind = given.unwrap_or_else(|| infer(values));
            self.columns.push(Column { name, values: Values::new(kind) });
        }
        waiting.iter().try_for_each(|(line, fields)| self.add(*line, fields))
    }

    fn add(&mut self, line: u64, fields: &[String]) -> Result<()> {
        if fields.len() != self.names.len() {
            return self.bad(line, format!("{} fields, the first row has {}", fields.len(), self.names.len()));
        }
        for (at, field) in fields.iter().enumerate() {
            let value = self.value(field);
            if !self.columns[at].values.push(value) {
                self.columns[..at].iter_mut().for_each(|column| column.values.pop());
                let Column { name, values } = &self.columns[at];
                let reason = format!("column '{name}': '{field}' in a column of type {:?}", values.kind());
                return self.bad(line, reason);
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn bad(&mut self, line: u64, reason: String) -> Result<()> {
        match self.options.bad_rows {
            BadRows::Skip => self.skipped.push(BadRow { line, reason }),
            BadRows::Error => {
                let advice = "correct it, give the column another type, or skip bad rows";
                return Err(Error::data(format!("{}, line {line}", self.name), format!("{reason}; {advice}")));
            }
        }
        Ok(())
    }
}
