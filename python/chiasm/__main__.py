from chiasm.cli import main

raise SystemExit(main())
