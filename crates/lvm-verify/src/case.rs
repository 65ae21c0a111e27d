//! Reference cases in the `lvm-reference/1` format: a folder of JSON files, read through accessors that name file and field when
//! something is missing or of the wrong shape.

use crate::tables;
use ndarray::{Array1, Array2, Array3};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with a case, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseError {
    /// The file.
    pub file: PathBuf,
    /// The field, such as `truth.posterior.mean[3]`; empty for the file as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}: {}", self.file.display(), self.message),
            field => write!(f, "{}: field {field}: {}", self.file.display(), self.message),
        }
    }
}

impl std::error::Error for CaseError {}

/// The result of reading a case.
pub type Result<T> = std::result::Result<T, CaseError>;

/// One case: a JSON object with where it came from.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file.
    pub file: PathBuf,
    /// The folder that was given, for `data.file`.
    pub folder: PathBuf,
    /// `id`.
    pub id: String,
    /// `kind`.
    pub kind: String,
    value: Value,
}

/// All cases of `folder/cases`, or of `folder` itself if there is no such folder, by name of file. Files that are no cases are returned
/// as errors.
///
/// # Errors
/// If the folder can't be read or holds no JSON file.
pub fn folder(folder: &Path) -> Result<Vec<(PathBuf, Result<Case>)>> {
    let problem = |message: String| CaseError { file: folder.to_owned(), field: String::new(), message };
    let cases = folder.join("cases");
    let place = if cases.is_dir() { cases } else { folder.to_owned() };
    let entries = std::fs::read_dir(&place).map_err(|e| problem(format!("the folder can't be read: {e}")))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "json") && p.file_name().is_some_and(|n| n != "index.json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(problem("no case here: neither cases/*.json nor *.json".to_owned()));
    }
    Ok(files.into_iter().map(|file| (file.clone(), Case::read(&file, folder))).collect())
}

impl Case {
    /// Reads one file; `folder` is where `data.file` may be relative to.
    ///
    /// # Errors
    /// If it is not JSON, or not of schema `lvm-reference/1` with an id and a kind.
    pub fn read(file: &Path, folder: &Path) -> Result<Case> {
        let problem = |message: String| CaseError { file: file.to_owned(), field: String::new(), message };
        let text = std::fs::read_to_string(file).map_err(|e| problem(format!("can't be read: {e}")))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| problem(format!("not JSON: {e}")))?;
        let case = Case { file: file.to_owned(), folder: folder.to_owned(), id: String::new(), kind: String::new(), value };
        let schema = case.root().get("schema")?;
        if schema.text()? != "lvm-reference/1" {
            return Err(schema.problem(format!("\"{}\" is not known; this version reads \"lvm-reference/1\"", schema.text()?)));
        }
        let (id, kind) = (case.root().get("id")?.text()?.to_owned(), case.root().get("kind")?.text()?.to_owned());
        Ok(Case { id, kind, ..case })
    }

    /// The whole object.
    pub fn root(&self) -> Node<'_> {
        Node { case: self, value: &self.value, path: String::new() }
    }

    /// A field of the object; dots lead inwards.
    ///
    /// # Errors
    /// If it is not there.
    pub fn get(&self, path: &str) -> Result<Node<'_>> {
        self.root().get(path)
    }

    /// A field of the object, if it is there and not null.
    pub fn find(&self, path: &str) -> Option<Node<'_>> {
        self.root().find(path)
    }

    /// The table of the case: `data.rows`, or the rows of `data.file`. Its shape must agree with `model.rows` and `model.dim`.
    ///
    /// # Errors
    /// If there is no table, it can't be read, or its shape is another.
    pub fn table(&self) -> Result<Array2<f64>> {
        let data = self.get("data")?;
        let x = match data.find("rows") {
            Some(rows) => rows.matrix()?,
            None => {
                let file = data.get("file").map_err(|_| data.problem("neither \"rows\" nor \"file\""))?;
                let path = self.resolve(&file)?;
                let columns = data.find("columns").map(|c| c.texts()).transpose()?;
                tables::read(&path, columns.as_deref()).map_err(|message| file.problem(message))?
            }
        };
        for (field, found) in [("model.rows", x.nrows()), ("model.dim", x.ncols())] {
            if let Some(node) = self.find(field)
                && node.count()? != found
            {
                return Err(node.problem(format!("{} said, but the data has {found}", node.count()?)));
            }
        }
        if let Some((i, v)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(data.problem(format!("entry {v} at {i:?} is not finite")));
        }
        Ok(x)
    }

    /// The file a field names: below the folder given, below a folder that holds the folder given, or the same with leading folders of
    /// the name (`shared/reference/`) left out.
    pub(crate) fn resolve(&self, name: &Node<'_>) -> Result<PathBuf> {
        let relative = name.text()?;
        self.below(relative).ok_or_else(|| name.problem(format!("{relative} is not below {} or a folder above it", self.folder.display())))
    }

    /// As [`Case::resolve`], of a name that stands in no field.
    pub(crate) fn below(&self, relative: &str) -> Option<PathBuf> {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let parts: Vec<_> = Path::new(relative).components().collect();
        (0..parts.len())
            .flat_map(|skip| {
                let tail: PathBuf = parts[skip..].iter().collect();
                folder.ancestors().map(move |a| a.join(&tail)).collect::<Vec<_>>()
            })
            .find(|p| p.is_file())
    }
}

/// A place inside a case, which knows its own name.
#[derive(Debug, Clone)]
pub struct Node<'c> {
    case: &'c Case,
    value: &'c Value,
    path: String,
}

impl<'c> Node<'c> {
    /// The error that this field is unusable.
    pub fn problem(&self, message: impl Into<String>) -> CaseError {
        CaseError { file: self.case.file.clone(), field: self.path.clone(), message: message.into() }
    }

    /// The JSON as it stands.
    pub(crate) fn value(&self) -> &'c Value {
        self.value
    }

    fn child(&self, name: &str, value: &'c Value) -> Node<'c> {
        let path = match (self.path.as_str(), name.starts_with('[')) {
            ("", _) => name.to_owned(),
            (path, true) => format!("{path}{name}"),
            (path, false) => format!("{path}.{name}"),
        };
        Node { case: self.case, value, path }
    }

    /// The field at `path`; dots lead inwards.
    ///
    /// # Errors
    /// If it, or what leads to it, is not there or null.
    pub fn get(&self, path: &str) -> Result<Node<'c>> {
        path.split('.').try_fold(self.clone(), |node, name| match node.value.get(name) {
            Some(value) if !value.is_null() => Ok(node.child(name, value)),
            Some(_) => Err(node.child(name, node.value).problem("is null")),
            None => Err(node.child(name, node.value).problem("is missing")),
        })
    }

    /// The field at `path`, if it is there and not null.
    pub fn find(&self, path: &str) -> Option<Node<'c>> {
        self.get(path).ok()
    }

    /// The elements of a list.
    ///
    /// # Errors
    /// If it is no list.
    pub fn list(&self) -> Result<Vec<Node<'c>>> {
        match self.value {
            Value::Array(items) => Ok(items.iter().enumerate().map(|(i, v)| self.child(&format!("[{i}]"), v)).collect()),
            _ => Err(self.problem("is not a list")),
        }
    }

    /// The fields of an object, in order of name.
    ///
    /// # Errors
    /// If it is no object.
    pub fn fields(&self) -> Result<Vec<(&'c str, Node<'c>)>> {
        match self.value {
            Value::Object(map) => Ok(map.iter().map(|(k, v)| (k.as_str(), self.child(k, v))).collect()),
            _ => Err(self.problem("is not an object")),
        }
    }

    /// A number; "inf", "-inf" and "nan" are numbers.
    ///
    /// # Errors
    /// If it is none.
    pub fn number(&self) -> Result<f64> {
        match self.value {
            Value::Number(n) => n.as_f64().ok_or_else(|| self.problem("is no f64")),
            Value::String(s) => match s.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                "nan" => Ok(f64::NAN),
                other => Err(self.problem(format!("\"{other}\" is not a number"))),
            },
            _ => Err(self.problem("is not a number")),
        }
    }

    /// A whole number from 0.
    ///
    /// # Errors
    /// If it is none.
    pub fn count(&self) -> Result<usize> {
        self.value.as_u64().and_then(|v| usize::try_from(v).ok()).ok_or_else(|| self.problem("is not a whole number from 0"))
    }

    /// A text.
    ///
    /// # Errors
    /// If it is none.
    pub fn text(&self) -> Result<&'c str> {
        self.value.as_str().ok_or_else(|| self.problem("is not a text"))
    }

    /// A list of texts.
    ///
    /// # Errors
    /// If it is none.
    pub fn texts(&self) -> Result<Vec<String>> {
        self.list()?.iter().map(|n| n.text().map(str::to_owned)).collect()
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// If it is none.
    pub fn counts(&self) -> Result<Vec<usize>> {
        self.list()?.iter().map(Node::count).collect()
    }

    /// Whether this is a single number rather than a list.
    pub fn is_number(&self) -> bool {
        self.number().is_ok()
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// If it is none.
    pub fn vector(&self) -> Result<Array1<f64>> {
        self.list()?.iter().map(Node::number).collect()
    }

    /// A list of rows of equal length.
    ///
    /// # Errors
    /// If it is none.
    pub fn matrix(&self) -> Result<Array2<f64>> {
        let rows: Vec<(Node<'c>, Array1<f64>)> = self.list()?.into_iter().map(|n| n.vector().map(|v| (n, v))).collect::<Result<_>>()?;
        let columns = rows.first().map_or(0, |(_, r)| r.len());
        if let Some((node, row)) = rows.iter().find(|(_, r)| r.len() != columns) {
            return Err(node.problem(format!("has {} numbers, the rows before have {columns}", row.len())));
        }
        let numbers: Vec<f64> = rows.iter().flat_map(|(_, r)| r.iter().copied()).collect();
        Array2::from_shape_vec((rows.len(), columns), numbers).map_err(|e| self.problem(e.to_string()))
    }

    /// A list of matrices of equal shape.
    ///
    /// # Errors
    /// If it is none.
    pub fn matrices(&self) -> Result<Array3<f64>> {
        let items: Vec<(Node<'c>, Array2<f64>)> = self.list()?.into_iter().map(|n| n.matrix().map(|m| (n, m))).collect::<Result<_>>()?;
        let (r, c) = items.first().map_or((0, 0), |(_, m)| m.dim());
        if let Some((node, m)) = items.iter().find(|(_, m)| m.dim() != (r, c)) {
            return Err(node.problem(format!("is {} x {}, the ones before are {r} x {c}", m.nrows(), m.ncols())));
        }
        let numbers: Vec<f64> = items.iter().flat_map(|(_, m)| m.iter().copied()).collect();
        Array3::from_shape_vec((items.len(), r, c), numbers).map_err(|e| self.problem(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(json: &str) -> Result<Case> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.json");
        std::fs::write(&file, json).unwrap();
        Case::read(&file, dir.path())
    }

    #[test]
    fn a_missing_field_is_named_with_its_path() {
        let c = case(r#"{"schema": "lvm-reference/1", "id": "a", "kind": "ppca", "truth": {"W": [[1, 2], [3]], "s": "-inf"}}"#).unwrap();
        assert_eq!(c.get("truth.sigma2").unwrap_err().field, "truth.sigma2");
        assert_eq!(c.get("truth.W").unwrap().matrix().unwrap_err().field, "truth.W[1]");
        assert_eq!(c.get("truth.s").unwrap().number().unwrap(), f64::NEG_INFINITY);
        assert_eq!(c.table().unwrap_err().field, "data");
    }

    #[test]
    fn another_schema_and_broken_json_are_refused() {
        assert_eq!(case(r#"{"schema": "lvm-reference/9", "id": "a", "kind": "b"}"#).unwrap_err().field, "schema");
        assert!(case("{").unwrap_err().message.starts_with("not JSON"));
        assert_eq!(case(r#"{"schema": "lvm-reference/1", "id": "a"}"#).unwrap_err().field, "kind");
    }

    #[test]
    fn a_data_file_is_found_below_the_folder_that_holds_shared() {
        let dir = tempfile::tempdir().unwrap();
        let reference = dir.path().join("shared/reference");
        std::fs::create_dir_all(reference.join("cases")).unwrap();
        std::fs::create_dir_all(reference.join("data")).unwrap();
        std::fs::write(reference.join("data/t.csv"), "a,b\n1,2\n3,4\n").unwrap();
        let json = r#"{"schema": "lvm-reference/1", "id": "a", "kind": "ppca", "data": {"file": "shared/reference/data/t.csv"}, "model": {"rows": 2, "dim": 2}}"#;
        std::fs::write(reference.join("cases/a.json"), json).unwrap();
        for place in [reference.clone(), reference.join("cases")] {
            let all = folder(&place).unwrap();
            assert_eq!(all[0].1.as_ref().unwrap().table().unwrap(), ndarray::array![[1.0, 2.0], [3.0, 4.0]]);
        }
    }
}
