//! Parquet files as tables (feature `parquet`): flat columns of truth values, numbers and text.

use std::fs::File;
use std::path::Path;

use anygrad_core::{Error, Result};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::Table;
use super::table::{Column, Kind, Values};

impl Table {
    /// Reads a Parquet file, uncompressed or compressed with Snappy or gzip. Integers of all widths are whole numbers, decimals
    /// and dates are words; what is null is missing.
    ///
    /// # Errors
    /// If it is missing, damaged, has no rows, or a column is nested or of a type that tables do not have.
    pub fn open_parquet(path: &Path) -> Result<Table> {
        let place = path.display().to_string();
        let damaged = |error: parquet::errors::ParquetError| {
            Error::data(&*place, format!("{error}: it is damaged, or no Parquet file; fetch or save it again"))
        };
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let reader = SerializedFileReader::new(file).map_err(damaged)?;
        let mut columns: Vec<(String, Vec<Field>)> = Vec::new();
        for row in reader.get_row_iter(None).map_err(damaged)? {
            for (at, (name, field)) in row.map_err(damaged)?.into_columns().into_iter().enumerate() {
                if at == columns.len() {
                    columns.push((name, Vec::new()));
                }
                columns[at].1.push(field);
            }
        }
        if columns.is_empty() {
            return Err(Error::data(place, "it has no rows"));
        }
        let column = |(name, fields): (String, Vec<Field>)| {
            let values = values(&fields).map_err(|(row, what)| {
                let place = format!("{place}, row {}, column '{name}'", row + 1);
                Error::data(place, format!("{what} is no value of a table; leave the column out or flatten it"))
            })?;
            Ok(Column { name, values })
        };
        let columns = columns.into_iter().map(column).collect::<Result<Vec<Column>>>()?;
        Table::new(&place, columns, Vec::new())
    }
}

/// One value of a column.
enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// A column of one type, by its first value that is not null; an error names the row of a value that has none.
fn values(fields: &[Field]) -> std::result::Result<Values, (usize, String)> {
    let value = |(row, field): (usize, &Field)| {
        Ok(Some(match field {
            Field::Null => return Ok(None),
            Field::Bool(x) => Value::Bool(*x),
            Field::Byte(x) => Value::Integer(i64::from(*x)),
            Field::Short(x) => Value::Integer(i64::from(*x)),
            Field::Int(x) => Value::Integer(i64::from(*x)),
            Field::Long(x) => Value::Integer(*x),
            Field::UByte(x) => Value::Integer(i64::from(*x)),
            Field::UShort(x) => Value::Integer(i64::from(*x)),
            Field::UInt(x) => Value::Integer(i64::from(*x)),
            Field::ULong(x) => Value::Integer(i64::try_from(*x).map_err(|_| (row, format!("the number {x}")))?),
            Field::Float16(x) => Value::Float(f64::from(x.to_f32())),
            Field::Float(x) => Value::Float(f64::from(*x)),
            Field::Double(x) => Value::Float(*x),
            Field::Str(text) => Value::Text(text.clone()),
            Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) | Field::Bytes(_) => {
                return Err((row, format!("{field}")));
            }
            other => Value::Text(other.to_string()),
        }))
    };
    let all = fields.iter().enumerate().map(value).collect::<std::result::Result<Vec<Option<Value>>, _>>()?;
    let kind = all.iter().flatten().next().map_or(Kind::Category, |first| match first {
        Value::Bool(_) => Kind::Bool,
        Value::Integer(_) => Kind::Integer,
        Value::Float(_) => Kind::Float,
        Value::Text(_) => Kind::Category,
    });
    // A column of a Parquet file has one type, so no value is lost here.
    Ok(match kind {
        Kind::Bool => Values::Bool(pick(all, |value| if let Value::Bool(x) = value { Some(x) } else { None })),
        Kind::Integer => Values::Integer(pick(all, |value| if let Value::Integer(x) = value { Some(x) } else { None })),
        Kind::Float => {
            let floats = pick(all, |value| if let Value::Float(x) = value { Some(x) } else { None });
            Values::Float(floats.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
        }
        Kind::Category => Values::Category(pick(all, |value| if let Value::Text(x) = value { Some(x) } else { None })),
    })
}

fn pick<T>(all: Vec<Option<Value>>, of: impl Fn(Value) -> Option<T>) -> Vec<Option<T>> {
    all.into_iter().map(|value| value.and_then(&of)).collect()
}
