//! Records to tables, SVG figures and one HTML page.
