// What every part of the pages shares. The parts that are loaded later import it, so that all of this is one file for the bundler.
import "./api";
import "./format";
import "./json";
import "./keys";
import "./parts";
import "./route";
import "./state";
import "./pages/panel";
import "./pages/try";
