"""Names that are HTML, and that change the direction of what is written."""

HTML = "<img src=x onerror=alert(1)>"
REVERSED = "\u202eevil\u2066 שלום"
