"""The Kedro room: nodes that point at the library, pipelines that list them."""
