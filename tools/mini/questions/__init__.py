"""Questions and answers in plain English about a picture whose facts are known."""
