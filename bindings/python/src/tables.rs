//! `Table`: rows for pandas, polars, pyarrow, DuckDB and whatever else reads Arrow.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use pyo3_arrow::ffi::{ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule};

use crate::errors::raise;

/// Rows and columns in memory, by the interface of Arrow: pandas.DataFrame.from_arrow(table), polars.DataFrame(table),
/// pyarrow.table(table), or FROM table in DuckDB.
#[pyclass(frozen, module = "demeanor")]
pub struct Table {
    batch: RecordBatch,
}

impl Table {
    /// A table of columns.
    pub fn new(py: Python<'_>, columns: Vec<(Field, ArrayRef)>) -> PyResult<Table> {
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let schema = Arc::new(arrow_schema::Schema::new(fields));
        let batch = RecordBatch::try_new(schema, arrays).map_err(|e| failed(py, &e))?;
        Ok(Table { batch })
    }

    /// Its schema.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }
}

/// The exception for what Arrow refuses.
pub fn failed(py: Python<'_>, error: &ArrowError) -> PyErr {
    raise(py, "DataError", format!("the table cannot be made: {error}"))
}

#[pymethods]
impl Table {
    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("Table({} rows, {} columns)", self.batch.num_rows(), self.batch.num_columns())
    }

    /// The rows as a stream of Arrow, for the library that asks for it.
    #[pyo3(signature = (requested_schema=None))]
    pub fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let field = self.field();
        let array: ArrayRef = Arc::new(StructArray::from(self.batch.clone()));
        let reader = Box::new(ArrayIterator::new([Ok(array)], field));
        Ok(to_stream_pycapsule(py, reader, requested_schema)?)
    }

    /// The rows as one array of Arrow.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let array = StructArray::from(self.batch.clone());
        Ok(to_array_pycapsules(py, self.field(), &array as &dyn Array, requested_schema)?)
    }

    /// The names and types of the columns.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.batch.schema().as_ref())?)
    }
}

impl Table {
    fn field(&self) -> Arc<Field> {
        Arc::new(Field::new_struct("", self.batch.schema().fields().clone(), false))
    }
}

/// A column that may be empty in some rows.
pub fn column(name: &str, values: impl Array + 'static) -> (Field, ArrayRef) {
    let kind: DataType = values.data_type().clone();
    (Field::new(name, kind, true), Arc::new(values))
}
