//! `#[derive(Module)]`: implements `anygrad::nn::Module` by visiting the fields of a struct, each under its name.
//!
//! The struct is read from the token stream by hand: all that is needed of a field is its name (or number) and its
//! `#[module(..)]` attribute, of the struct its name and generics. No parser crate has to be compiled for that.
//!
//! The expansion names `::anygrad::nn::Module`. A crate that depends on `anygrad-core` alone writes
//! `extern crate anygrad_core as anygrad;` once in its root.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Implements `Module` for a struct: each field is visited under its name (tuple fields under their number).
///
/// Fields are modules, variables, or plain configuration (numbers, strings, options of layers), which has nothing to
/// visit. Type parameters must be modules. Attributes of a field:
/// - `#[module(buffer)]`: variables below it are saved but not trained (running statistics).
/// - `#[module(skip)]`: not visited; its type need not be a module.
/// - `#[module(flatten)]`: visited without adding its name to the path.
///
/// Enums and unions are refused:
///
/// ```compile_fail
/// #[derive(anygrad_derive::Module)]
/// enum Choice {
///     A,
/// }
/// ```
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    match parse(input) {
        Ok(item) => expand(&item),
        Err((span, message)) => compile_error(span, &message),
    }
}

type Failure = (Span, String);

/// What is needed of the struct.
struct Item {
    name: String,
    /// Generics as declared, without defaults: `'a, M: Clone, const N: usize`.
    declared: String,
    /// Generics as used: `'a, M, N`.
    used: String,
    types: Vec<String>,
    /// The struct's own `where` predicates.
    predicates: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    role: Role,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Parameter,
    Buffer,
    Skip,
    Flatten,
}

fn parse(input: TokenStream) -> Result<Item, Failure> {
    let mut tokens = input.into_iter().peekable();
    let mut kind = None;
    for token in tokens.by_ref() {
        if let TokenTree::Ident(word) = &token
            && ["struct", "enum", "union"].contains(&word.to_string().as_str())
        {
            kind = Some(word.clone());
            break;
        }
    }
    let kind = kind.ok_or_else(|| (Span::call_site(), "derive(Module) needs a struct".to_string()))?;
    if kind.to_string() != "struct" {
        let message = format!(
            "derive(Module) names parameters by a struct's fields, and this is {} {kind}; write `impl Module` by hand, or \
             put the choices into a struct",
            if kind.to_string() == "enum" { "an" } else { "a" }
        );
        return Err((kind.span(), message));
    }
    let Some(TokenTree::Ident(name)) = tokens.next() else {
        return Err((kind.span(), "expected the struct's name".into()));
    };
    let mut rest: Vec<TokenTree> = tokens.collect();
    let generics = take_generics(&mut rest);
    let (declared, used, types) = describe_generics(&generics);
    let mut predicates = Vec::new();
    let mut fields = Vec::new();
    let mut inside_where = false;
    for token in rest {
        match token {
            TokenTree::Ident(word) if word.to_string() == "where" => inside_where = true,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                fields = named_fields(&group)?;
                inside_where = false;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis && !inside_where => {
                fields = tuple_fields(&group)?;
            }
            TokenTree::Punct(end) if end.as_char() == ';' => {}
            other if inside_where => predicates.push(other),
            _ => {}
        }
    }
    let predicates = predicates.into_iter().collect::<TokenStream>().to_string();
    Ok(Item { name: name.to_string(), declared, used, types, predicates, fields })
}

/// Removes `<...>` from the front and returns what stands inside.
fn take_generics(rest: &mut Vec<TokenTree>) -> Vec<TokenTree> {
    if !matches!(rest.first(), Some(TokenTree::Punct(p)) if p.as_char() == '<') {
        return Vec::new();
    }
    let mut depth = Depth::default();
    let end = rest.iter().position(|token| {
        depth.step(token);
        depth.angles == 0
    });
    let mut inside: Vec<TokenTree> = rest.drain(..=end.unwrap_or(rest.len() - 1)).collect();
    inside.remove(0);
    inside.pop();
    inside
}

/// Counts angle brackets; the `>` of an arrow `->` is none.
#[derive(Default)]
struct Depth {
    angles: usize,
    arrow: bool,
}

impl Depth {
    fn step(&mut self, token: &TokenTree) {
        let sign = if let TokenTree::Punct(p) = token { p.as_char() } else { ' ' };
        match sign {
            '<' => self.angles += 1,
            '>' if !self.arrow => self.angles = self.angles.saturating_sub(1),
            _ => {}
        }
        self.arrow = matches!(token, TokenTree::Punct(p) if p.as_char() == '-' && p.spacing() == Spacing::Joint);
    }
}

/// Splits at commas outside of angle brackets; empty parts are dropped.
fn split_at_commas(tokens: impl IntoIterator<Item = TokenTree>) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    let mut depth = Depth::default();
    for token in tokens {
        depth.step(&token);
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(p), _) if p.as_char() == ',' && depth.angles == 0 => parts.push(Vec::new()),
            (_, Some(last)) => last.push(token),
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Generics as declared (without defaults), as used, and the type parameters' names.
fn describe_generics(generics: &[TokenTree]) -> (String, String, Vec<String>) {
    let (mut declared, mut used, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for part in split_at_commas(generics.iter().cloned()) {
        let default = part.iter().position(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == '='));
        let kept: TokenStream = part[..default.unwrap_or(part.len())].iter().cloned().collect();
        declared.push(kept.to_string());
        match (&part[0], part.get(1)) {
            (TokenTree::Punct(_), Some(lifetime)) => used.push(format!("'{lifetime}")),
            (TokenTree::Ident(word), Some(name)) if word.to_string() == "const" => used.push(name.to_string()),
            (first, _) => {
                used.push(first.to_string());
                types.push(first.to_string());
            }
        }
    }
    (declared.join(", "), used.join(", "), types)
}

fn named_fields(group: &Group) -> Result<Vec<Field>, Failure> {
    let mut fields = Vec::new();
    for part in split_at_commas(group.stream()) {
        let role = role(&part)?;
        let colon = part.iter().position(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ':'));
        match colon.and_then(|at| part.get(at.checked_sub(1)?)) {
            Some(TokenTree::Ident(name)) => fields.push(Field { name: name.to_string(), role }),
            _ => return Err((group.span(), "derive(Module) could not read this struct's fields".into())),
        }
    }
    Ok(fields)
}

fn tuple_fields(group: &Group) -> Result<Vec<Field>, Failure> {
    let parts = split_at_commas(group.stream());
    parts.iter().enumerate().map(|(i, part)| Ok(Field { name: i.to_string(), role: role(part)? })).collect()
}

/// Reads `#[module(..)]` among a field's tokens.
fn role(field: &[TokenTree]) -> Result<Role, Failure> {
    let mut found = Role::Parameter;
    for pair in field.windows(2) {
        let (TokenTree::Punct(hash), TokenTree::Group(attribute)) = (&pair[0], &pair[1]) else { continue };
        let inside: Vec<TokenTree> = attribute.stream().into_iter().collect();
        let is_module = matches!(inside.first(), Some(TokenTree::Ident(word)) if word.to_string() == "module");
        if hash.as_char() != '#' || !is_module {
            continue;
        }
        let word = match inside.get(1) {
            Some(TokenTree::Group(arguments)) => arguments.stream().to_string(),
            _ => String::new(),
        };
        found = match word.as_str() {
            "buffer" => Role::Buffer,
            "skip" => Role::Skip,
            "flatten" => Role::Flatten,
            _ => {
                let message = "expected #[module(buffer)], #[module(skip)] or #[module(flatten)]";
                return Err((attribute.span(), message.into()));
            }
        };
    }
    Ok(found)
}

fn expand(item: &Item) -> TokenStream {
    let mut body = String::new();
    for Field { name, role } in &item.fields {
        // A raw identifier's path segment is its plain name.
        let segment = name.strip_prefix("r#").unwrap_or(name);
        body += &match role {
            Role::Parameter => format!("visitor.field({segment:?}, &self.{name});\n"),
            Role::Buffer => format!("visitor.buffer({segment:?}, &self.{name});\n"),
            Role::Flatten => format!("::anygrad::nn::Module::visit(&self.{name}, visitor);\n"),
            Role::Skip => String::new(),
        };
    }
    let visitor = if body.is_empty() { "_" } else { "visitor" };
    let mut bounds: Vec<String> = item.types.iter().map(|t| format!("{t}: ::anygrad::nn::Module")).collect();
    let own = item.predicates.trim().trim_end_matches(',');
    if !own.is_empty() {
        bounds.push(own.to_string());
    }
    let Item { name, declared, used, .. } = item;
    let text = format!(
        "#[automatically_derived] impl<{declared}> ::anygrad::nn::Module for {name}<{used}> where {} {{
            fn visit(&self, {visitor}: &mut ::anygrad::nn::Visitor<'_>) {{ {body} }}
        }}",
        bounds.join(", ")
    );
    match text.parse() {
        Ok(tokens) => tokens,
        Err(error) => compile_error(Span::call_site(), &format!("derive(Module): {error}")),
    }
}

/// `::core::compile_error! { "message" }` at `span`.
fn compile_error(span: Span, message: &str) -> TokenStream {
    let mut literal = Literal::string(message);
    literal.set_span(span);
    let body: TokenStream = [TokenTree::from(literal)].into_iter().collect();
    let mut group = Group::new(Delimiter::Brace, body);
    group.set_span(span);
    let punct = |sign, spacing| {
        let mut p = Punct::new(sign, spacing);
        p.set_span(span);
        TokenTree::from(p)
    };
    let word = |text| TokenTree::from(Ident::new(text, span));
    let path = || [punct(':', Spacing::Joint), punct(':', Spacing::Alone)];
    let mut tokens = Vec::new();
    tokens.extend(path());
    tokens.push(word("core"));
    tokens.extend(path());
    tokens.push(word("compile_error"));
    tokens.push(punct('!', Spacing::Alone));
    tokens.push(group.into());
    tokens.into_iter().collect()
}
