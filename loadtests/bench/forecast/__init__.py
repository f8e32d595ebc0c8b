"""`make bench-forecast`: how good the forecasts are, beside naive and the field's methods. `protocol` has the rules."""
