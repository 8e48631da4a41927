"""Where rows come from: Alpha Vantage, CSV folders, packaged real series; and what to watch."""
