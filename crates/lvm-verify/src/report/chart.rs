//! Small pictures as inline SVG.
